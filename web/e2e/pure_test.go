package e2e

import (
	"encoding/json"
	"testing"
)

// TestPureFunctions calls the functions of the bundle that the browser runs.
func TestPureFunctions(t *testing.T) {
	p := open(t, proxied(t, demoAgent(t), nil), look{1024, 800, false})
	p.until("globalThis.pktvisor")
	for _, c := range []struct{ call, want string }{
		{`format.short(0)`, `"0"`},
		{`format.short(0.04567)`, `"0.0457"`},
		{`format.short(9999)`, `"9,999"`},
		{`format.short(10000)`, `"10 k"`},
		{`format.short(999999)`, `"1 M"`},
		{`format.short(1234567)`, `"1.23 M"`},
		{`format.short(2**64)`, `"18.4 E"`},
		{`format.short(undefined)`, `"–"`},
		{`format.short(NaN)`, `"–"`},
		{`format.exact(18014398509481984)`, `"18,014,398,509,481,984"`},
		{`format.micros(999)`, `"999 µs"`},
		{`format.micros(12345)`, `"12.3 ms"`},
		{`format.micros(2000000)`, `"2 s"`},
		{`format.value(1500,"bytes")`, `"1,500 B"`},
		{`format.value(123456,"bits/s")`, `"123 kb/s"`},
		{`format.percent(0.0004)`, `"\u003c 0.1%"`},
		{`format.percent(0.9999)`, `"100%"`},
		{`format.percent(0.123)`, `"12.3%"`},
		{`format.clock(1709294420, 300)`, `"12:00:20"`},
		{`format.clock(1709294420, 7*86400)`, `"03-01 12:00"`},
		{`format.duration(5400)`, `"90 min"`},
		{`format.duration(86400)`, `"1 d"`},
		{`format.visible("")`, `"."`},
		{`format.visible("a\u202eb\u0000\u200b\n")`, `"a\\u{202e}b\\u{0}\\u{200b}\\u{a}"`},
		{`format.visible("a b\u00a0\ud800é中")`, `"a b\\u{a0}\\u{d800}é中"`},
		{`format.csv([["=1+2","+x","-x","@x","\tx"," =x","a,\"b\"\n",5,-5,undefined,["a","b"]]])`, `"'=1+2,'+x,'-x,'@x,'\tx,' =x,\"a,\"\"b\"\"\n\",5,-5,,a b\r\n"`},
		{`rows.title({name:"*.example.com",names:1200000})`, `"*.example.com (1.2 M names)"`},
		{`rows.rowsOf([{name:"a",estimate:1}])`, `[{"estimate":1,"name":"a"}]`},
		{`chart.beforeGaps([0,60,120,180],[[1,null,3,null],[5,6,null,null]])`, `[[0,59.994,60,119.994,120,179.994,180],[1,1,null,null,3,3,null],[5,5,6,6,null,null,null]]`},
		{`chart.beforeGaps([30,30,60],[[null,2,2]])`, `[[30,30,60],[null,2,2]]`},
		{`rows.rowsOf([1])===undefined`, `true`},
		{`["EU/France/IDF/Paris","EU","FR","France","Unknown","NA/Namibia","North America/Canada",""].map(n=>countries.countryOf(n,false))`, `["France","","FR","France","","Namibia","Canada",""]`},
		{`["NA","SA","Unknown"].map(n=>countries.countryOf(n,true))`, `["NA","SA",""]`},
		{`["United States","The Netherlands","Netherlands","Russia","Russian Federation","DR Congo","Congo Republic","Ivory Coast","Bosnia and Herzegovina","North Macedonia","Myanmar","Palestine","Hong Kong","Cabo Verde","São Tomé and Príncipe","St Kitts and Nevis","Saint Lucia","Eswatini","Türkiye","Turkey","Curaçao","Vatican City","U.S. Virgin Islands","Iran (Islamic Republic of)","Korea (the Republic of)","Korea (the Democratic People's Republic of)","Viet Nam","Laos","Kosovo","GB","Nowhere","Antarctica"].map(countries.coder(["US","NL","RU","CD","CG","CI","BA","MK","MM","PS","HK","CV","ST","KN","LC","SZ","TR","CW","VA","VI","IR","KR","KP","VN","LA","XK","GB"])).map(c=>c||"-").join(" ")`,
			`"US NL NL RU RU CD CG CI BA MK MM PS HK CV ST KN LC SZ TR TR CW VA VI IR KR KP VN LA XK GB - -"`},
		{`views.ordered([{a:1},{a:3},{},{a:2}],"-a").map(r=>r.a??0)`, `[3,2,1,0]`},
		{`views.ordered([{a:1},{},{a:"b"},{a:null}],"a").map(r=>r.a??0)`, `[1,"b",0,0]`},
		{`views.byGroup([{group:"pop=a=b",metric:"packets.total",stat:"count",values:[60,null,120]},{group:"pop=a=b",metric:"dns.wire_packets.queries",stat:"count",values:[60,null,null]},{group:"pop=a=b",metric:"dns.wire_packets.replies",stat:"count",values:[20,null,20]},{group:"pop=a=b",metric:"dns.wire_packets.srvfail",stat:"count",values:[10,null,null]},{group:"pop=a=b",metric:"dns.xact.in.quantiles_us",stat:"p95",values:[1,2,null]}],60).map(g=>[g.name,g.rate,g.qps,g.failShare,g.nxShare??null,g.server])`, `[["a=b",1.5,0.5,0.25,null,2]]`},
		{`views.byGroup([{group:"a=b",metric:"packets.total",stat:"count",values:[600,600,null]}],300,480).map(g=>g.rate)`, `[2.5]`},
		{`countries.byCountry([{name:"EU/France/a",estimate:3},{name:"EU/France/b",estimate:2,lower:1,upper:2},{name:"EU/Spain",estimate:9},{name:"Unknown",estimate:1}],n=>({France:"FR"})[n]).map(c=>[c.name,c.code||"",c.lower,c.upper,c.rows.length])`, `[["Spain","",9,9,1],["France","FR",4,5,2],["","",1,1,1]]`},
		{`[0,0.0009,0.001,0.05,0.2,1].map(countries.classOf)`, `[0,0,1,3,4,4]`},
		{`rows.rowsOf({p50:1})===undefined`, `true`},
		{`rows.extras([{name:"a",estimate:1,ratio:2,hints:["x"]},{name:"b",ratio:1}])`, `[["ratio",true],["hints",false]]`},
		{`rows.bounds({name:"a",estimate:5})`, `[5,5]`},
		{`rows.bounds({name:"a",estimate:5,lower:5,upper:9})`, `[5,9]`},
		{`rows.total([{name:"a",estimate:5}],0,true)`, `5`},
		{`rows.total([{name:"a",estimate:5}],0,false)===undefined`, `true`},
		{`rows.sorted([{name:"b",estimate:1},{name:"a",estimate:1},{name:"c",estimate:3}],"-estimate").map(r=>r.name)`, `["c","b","a"]`},
		{`rows.sorted([{name:"b"},{name:"a"}],"name").map(r=>r.name)`, `["a","b"]`},
		{`rows.found([{name:"www.Example.com"},{name:"b"}],"EXAMPLE").length`, `1`},
		{`rows.cells([{name:"a",estimate:5,upper:6,ratio:2}],10)`, `[["name","estimate","lower","upper","share","ratio"],["a",5,5,6,0.5,2]]`},
		{`[state.parse("#/tables?table=dns.top_qname2&tag=a").view, state.parse("#/tables?tag=a").params.get("tag")]`, `["tables","a"]`},
		{`state.parse("").view`, `"now"`},
		{`state.parse("#/%zz?%zz=%").view`, `"%zz"`},
		{`state.write("now", state.changed(state.parse("#/tables?table=x&q=y&tag=a&tag=b&range=1h"), "now", {range:"6h"}))`, `"#/now?tag=a\u0026tag=b\u0026range=6h"`},
		{`state.write("tables", state.changed(state.parse("#/tables?table=x&q=y"), "tables", {q:null}))`, `"#/tables?table=x"`},
		{`series.perSecond([60,60,30,null], 0, 60, 0, 150)`, `[1,1,1,null]`},
		{`series.perSecond([60,60], 0, 60, 30, 120)`, `[2,1]`},
		{`series.sum([[1,null,3],[1,null,null]])`, `[2,null,3]`},
		{`series.stack([[1,null,3],[1,null,2]])`, `[[1,null,3],[2,null,5]]`},
		{`series.spans({steps:5,from:100,step:10},i=>i!==2)`, `[[100,120],[130,150]]`},
		{`series.packs(Array.from({length:45},(_,i)=>({path:"m"+i,kind:"counter"})),300).map(p=>p.length)`, `[20,20,5]`},
		{`series.packs(Array.from({length:8},(_,i)=>({path:"m"+i,kind:"histogram"})),300).map(p=>p.length)`, `[5,3]`},
		{`series.packs(Array.from({length:3},(_,i)=>({path:"m"+i,kind:"histogram",heat:true})),240).map(p=>p.length)`, `[2,1]`},
		{`series.summary([null,3,1,2,null])`, `{"last":2,"max":3,"mean":2,"min":1}`},
		{`series.summary([null])===undefined`, `true`},
		{`[series.finished([null,5,6,7,2],true),series.finished([null,5,6,7,2],false),series.finished([null,5,6],true),series.finished([1,2,3,4,null],true),series.finished([null],true)]`, `[[1,4],[1,5],[1,3],[0,3],[0,0]]`},
		{`series.earlier("before",90)`, `120`},
		{`(()=>{const m=series.merge([{from_ts:0,to_ts:120,step_s:60,series:[{metric:"a",stat:"count",values:[1,2]}]},{from_ts:60,to_ts:180,step_s:60,series:[{metric:"b",stat:"count",values:[1,2]}]}]);return [m.steps,series.values(m,"a","count"),series.values(m,"b","count")===undefined]})()`, `[2,[1,2],true]`},
		{`(()=>{const l=new series.Live();l.add(0,10,{a:5});l.add(0,11,{a:8});l.add(0,11,{a:8});l.add(60,61,{a:2});l.add(60,62,{a:3});return l.points.map(p=>[p.t,p.values?.a??null])})()`, `[[10.5,3],[11.5,null],[61.5,1]]`},
	} {
		var got any
		p.eval("(({chart, format, series, state, rows, countries, views}) => "+c.call+")(pktvisor)", &got)
		b, err := json.Marshal(got)
		if err != nil || string(b) != c.want {
			t.Errorf("%s = %s, want %s", c.call, b, c.want)
		}
	}
}
