package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// worldWidth is the width of the map in its own units. Coordinates are whole numbers of these.
const worldWidth = 2000

// The map shows these latitudes, in degrees: no country is south of them.
const south, north = -57, 84

// leastArea is the least area of a triangle that a point of an outline makes with its neighbours, in square units. Points that
// make less are left out.
const leastArea = 1.5

// world is the map of countries, as the dashboard reads it.
type world struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	// Shapes are the outlines by the ISO 3166 code of two letters: paths of SVG. Points are the countries that are too small for one.
	Shapes map[string]string `json:"shapes"`
	Points map[string][2]int `json:"points"`
}

// topology is the part of a TopoJSON file that is read. Each arc is a line of quantised steps. Borders are arcs of two countries.
type topology struct {
	Transform struct{ Scale, Translate [2]float64 }
	Arcs      [][][2]float64
	Objects   struct {
		Countries struct {
			Geometries []struct {
				ID         string
				Type       string
				Arcs       json.RawMessage
				Properties struct{ Name string }
			}
		}
	}
}

// partOf says which country the map gives a territory to that has no code of its own: the one whose code GeoIP databases use
// for its addresses. Kosovo has a code that everybody uses.
var partOf = map[string]string{"N. Cyprus": "CY", "Somaliland": "SO", "Kosovo": "XK"}

// worldMap makes the map from Natural Earth's countries at 1:110,000,000, as package world-atlas has them.
func worldMap(dir string) ([]byte, error) {
	dir = filepath.Join(dir, "vendor", "world-atlas")
	b, err := os.ReadFile(filepath.Join(dir, "countries-110m.json"))
	if err != nil {
		return nil, err
	}
	var t topology
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("countries-110m.json: %w", err)
	}
	w := &world{Width: worldWidth, Height: project(0, south)[1], Shapes: map[string]string{}, Points: map[string][2]int{}}
	lines := t.lines()
	for _, g := range t.Objects.Countries.Geometries {
		code, ok := partOf[g.Properties.Name]
		if !ok {
			if code, err = codeOf(g.ID); err != nil {
				return nil, fmt.Errorf("%s: %w", g.Properties.Name, err)
			}
		}
		if code == "AQ" {
			continue
		}
		polygons := [][][]int{nil}
		into := any(&polygons[0])
		if g.Type == "MultiPolygon" {
			into = &polygons
		}
		if err := json.Unmarshal(g.Arcs, into); err != nil {
			return nil, fmt.Errorf("%s: %w", g.Properties.Name, err)
		}
		for _, rings := range polygons {
			for _, arcs := range rings {
				w.Shapes[code] += outlines(ring(lines, arcs))
			}
		}
	}
	if err := w.small(filepath.Join(dir, "small.tsv")); err != nil {
		return nil, err
	}
	return json.Marshal(w)
}

// small adds the countries that the outlines lack: their codes and the middle of each.
func (w *world) small(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		var id string
		var lon, lat float64
		if _, err := fmt.Sscan(line, &id, &lon, &lat); err != nil {
			return fmt.Errorf("small.tsv: %q: %w", line, err)
		}
		code, err := codeOf(id)
		if err != nil {
			return fmt.Errorf("small.tsv: %q: %w", line, err)
		}
		w.Points[code] = project(lon, lat)
	}
	return nil
}

// codeOf returns the code of two letters of a country that is given by its number in ISO 3166.
func codeOf(number string) (string, error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return "", err
	}
	r, err := language.EncodeM49(n)
	return r.String(), err
}

// project returns the place of a point, given in degrees, in the Equal Earth projection (Šavrič, Patterson and Jenny, 2018).
// Areas are to scale.
func project(lon, lat float64) [2]int {
	x, y := equalEarth(lon, lat)
	widest, _ := equalEarth(180, 0)
	_, top := equalEarth(0, north)
	scale := worldWidth / 2 / widest
	return [2]int{int(math.Round((x + widest) * scale)), int(math.Round((top - y) * scale))}
}

func equalEarth(lon, lat float64) (x, y float64) {
	const a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
	m := math.Sqrt(3) / 2
	l := math.Asin(m * math.Sin(lat*math.Pi/180))
	l2 := l * l
	l6 := l2 * l2 * l2
	return lon * math.Pi / 180 * math.Cos(l) / (m * (a1 + 3*a2*l2 + l6*(7*a3+9*a4*l2))), l * (a1 + a2*l2 + l6*(a3+a4*l2))
}

// lines returns the arcs in degrees, simplified.
func (t *topology) lines() [][][2]float64 {
	out := make([][][2]float64, len(t.Arcs))
	for i, arc := range t.Arcs {
		var x, y float64
		line := make([][2]float64, len(arc))
		for k, step := range arc {
			x, y = x+step[0], y+step[1]
			line[k] = [2]float64{x*t.Transform.Scale[0] + t.Transform.Translate[0], y*t.Transform.Scale[1] + t.Transform.Translate[1]}
			if k > 0 {
				line[k][0] = near(line[k][0], line[k-1][0])
			}
		}
		out[i] = simplify(line)
	}
	return out
}

// near returns a longitude plus or minus 360, so that it is less than 180 degrees from another.
func near(lon, other float64) float64 { return lon - 360*math.Round((lon-other)/360) }

// simplify leaves out the points of a line that matter least, by the algorithm of Visvalingam and Whyatt (1993). The ends stay,
// so that outlines that meet still do. A closed line keeps four points.
func simplify(line [][2]float64) [][2]float64 {
	least := 2
	if len(line) > 0 && line[0] == line[len(line)-1] {
		least = 4
	}
	for len(line) > least {
		best, area := 0, math.Inf(1)
		for i := 1; i < len(line)-1; i++ {
			if a := triangle(line[i-1], line[i], line[i+1]); a < area {
				best, area = i, a
			}
		}
		if area >= leastArea {
			break
		}
		line = append(line[:best], line[best+1:]...)
	}
	return line
}

// triangle returns the area on the map of a triangle that is given in degrees.
func triangle(p, q, r [2]float64) float64 {
	a, b, c := project(p[0], p[1]), project(q[0], q[1]), project(r[0], r[1])
	return math.Abs(float64((b[0]-a[0])*(c[1]-a[1])-(c[0]-a[0])*(b[1]-a[1]))) / 2
}

// ring joins arcs. A negative one is the arc of its complement, backwards. An outline that crosses the meridian of 180 degrees
// continues beyond it.
func ring(lines [][][2]float64, arcs []int) (out [][2]float64) {
	for _, i := range arcs {
		line := lines[max(i, ^i)]
		for k := range line {
			p := line[k]
			if i < 0 {
				p = line[len(line)-1-k]
			}
			if len(out) > 0 {
				p[0] = near(p[0], out[len(out)-1][0])
			}
			out = append(out, p)
		}
	}
	return out
}

// outlines returns the paths of a ring: one, or several if it crosses the meridian of 180 degrees.
func outlines(ring [][2]float64) (paths string) {
	for _, turn := range []float64{-360, 0, 360} {
		part := clip(clip(ring, -180-turn, 1), 180-turn, -1)
		points := make([][2]int, 0, len(part))
		for _, p := range part {
			if q := project(p[0]+turn, p[1]); len(points) == 0 || points[len(points)-1] != q {
				points = append(points, q)
			}
		}
		paths += pathOf(points)
	}
	return paths
}

// clip returns the part of a ring that is east of a meridian, or west of it if side is -1 (Sutherland and Hodgman, 1974).
func clip(ring [][2]float64, meridian, side float64) (out [][2]float64) {
	inside := func(p [2]float64) bool { return (p[0]-meridian)*side >= 0 }
	for i, p := range ring {
		before := ring[(i+len(ring)-1)%len(ring)]
		if inside(p) != inside(before) {
			out = append(out, [2]float64{meridian, before[1] + (p[1]-before[1])*(meridian-before[0])/(p[0]-before[0])})
		}
		if inside(p) {
			out = append(out, p)
		}
	}
	return out
}

// pathOf writes a ring as a path of SVG with relative coordinates.
func pathOf(points [][2]int) string {
	if len(points) > 1 && points[0] == points[len(points)-1] {
		points = points[:len(points)-1] // z closes it
	}
	if len(points) < 3 {
		return ""
	}
	var b bytes.Buffer
	at := [2]int{}
	for i, p := range points {
		switch i {
		case 0:
			fmt.Fprintf(&b, "M%d", p[0])
		case 1:
			fmt.Fprintf(&b, "l%d", p[0]-at[0])
		default:
			signed(&b, p[0]-at[0])
		}
		signed(&b, p[1]-at[1])
		at = p
	}
	b.WriteByte('z')
	return b.String()
}

// signed writes a number that follows another: a minus sign is separator enough.
func signed(b *bytes.Buffer, n int) {
	if n >= 0 {
		b.WriteByte(' ')
	}
	b.WriteString(strconv.Itoa(n))
}
