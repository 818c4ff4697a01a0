package bpf

import "strings"

// transport is the transport protocol that a service name stands for. 0 means no protocol, and anyTransport means any.
type transport uint16

const (
	anyTransport transport = 0
	onlyTCP      transport = protoTCP
	onlyUDP      transport = protoUDP
	onlySCTP     transport = protoSCTP
)

type service struct {
	tcp, udp uint16 // 0: no such service over it
}

// servicePort looks up a service as getservbyname would. A name that TCP and UDP both have on one port matches every
// transport. If the ports differ, it means TCP's.
func servicePort(name string) (port uint16, t transport, ok bool) {
	s, ok := services[name]
	switch {
	case !ok:
		return 0, 0, false
	case s.tcp == s.udp:
		return s.tcp, anyTransport, true
	case s.tcp != 0:
		return s.tcp, onlyTCP, true
	}
	return s.udp, onlyUDP, true
}

// services are names, registered at IANA or customary, of the ports that operators filter by.
var services = makeServices(map[string]string{
	// Both transports have the same port.
	"both": `echo 7  discard 9 sink 9 null 9  daytime 13  chargen 19 ttytst 19 source 19
		time 37 timserver 37  tacacs 49  domain 53  kerberos 88 kerberos5 88 krb5 88
		kerberos-sec 88  sunrpc 111 portmapper 111  snmp 161  snmp-trap 162 snmptrap 162
		cmip-man 163 cmip-agent 164  ldap 389  svrloc 427  https 443  kpasswd 464
		rtsp 554  ldp 646  ldaps 636  domain-s 853  openvpn 1194  radius 1812
		radius-acct 1813 radacct 1813  datametrics 1645 old-radius 1645
		sa-msg-port 1646 old-radacct 1646  nfs 2049  mon 2583  isns 3205  nut 3493
		sip 5060 sip-tls 5061  gnutella-svc 6346 gnutella-rtr 6347  rpc2portmap 369
		codaauth2 370 venus 2430 venus-se 2431 codasrv 2432 codasrv-se 2433
		rtcm-sc104 2101 gnunet 2086 gdomap 538  tinc 655  syslog 514  kerberos4 750
		kerberos-iv 750 kdc 750  kerberos-master 751 kerberos_master 751  asp 27374`,
	"tcp": `tcpmux 1  systat 11 users 11  netstat 15  qotd 17 quote 17  ftp-data 20  ftp 21
		ssh 22  telnet 23  smtp 25 mail 25  whois 43 nicname 43  gopher 70  finger 79
		http 80 www 80  iso-tsap 102 tsap 102  acr-nema 104 dicom 104  poppassd 106
		pop3 110 pop-3 110  auth 113 authentication 113 tap 113 ident 113
		nntp 119 readnews 119 untp 119  epmap 135 loc-srv 135  netbios-ssn 139
		imap2 143 imap 143  mailq 174  bgp 179  smux 199  qmtp 209  z3950 210 wais 210
		snpp 444  microsoft-ds 445  submissions 465 ssmtp 465 smtps 465 urd 465
		saft 487  exec 512  login 513  shell 514 cmd 514  printer 515 spooler 515
		uucp 540 uucpd 540  klogin 543  kshell 544 krcmd 544  afpovertcp 548
		nntps 563 snntp 563  submission 587  nqs 607  qmqp 628  ipp 631  silc 706
		kerberos-adm 749  krb-prop 754 krb_prop 754 krb5_prop 754 hprop 754
		moira-db 775 moira_db 775  moira-update 777 moira_update 777  spamd 783  supfilesrv 871  rsync 873  ftps-data 989 ftps 990
		telnets 992  imaps 993  pop3s 995  socks 1080  rootd 1094  rmiregistry 1099
		supfiledbg 1127  skkserv 1178  rmtcfg 1236  lotusnote 1352 lotusnotes 1352
		ms-sql-s 1433  ingreslock 1524  kermit 1649  groupwise 1677  cisco-sccp 2000
		gsigatekeeper 2119  iprop 2121  gris 2135  cvspserver 2401  zebrasrv 2600
		zebra 2601  ripd 2602  ripngd 2603  ospfd 2604  bgpd 2605  ospf6d 2606
		ospfapi 2607  isisd 2608  dict 2628  gsiftp 2811  gpsd 2947
		gds-db 3050 gds_db 3050  iscsi-target 3260  mysql 3306  ms-wbt-server 3389
		distcc 3632  daap 3689  svn 3690 subversion 3690  suucp 4031  sysrqd 4094
		sieve 4190  f5-iquery 4353  epmd 4369  remctl 4373  ntske 4460  hylafax 4559
		mtn 4691  radmin-port 4899  munin 4949 lrrd 4949
		xmpp-client 5222 jabber-client 5222  xmpp-server 5269 jabber-server 5269
		cfengine 5308  postgresql 5432 postgres 5432  freeciv 5556 rptp 5556
		nrpe 5666  nsca 5667  amqps 5671  amqp 5672  canna 5680  x11 6000 x11-0 6000
		x11-1 6001 x11-2 6002 x11-3 6003 x11-4 6004 x11-5 6005 x11-6 6006 x11-7 6007
		redis 6379  sge-qmaster 6444 sge_qmaster 6444  sge-execd 6445 sge_execd 6445
		mysql-proxy 6446  syslog-tls 6514  sane-port 6566 sane 6566 saned 6566
		ircd 6667  ircs-u 6697  bbs 7000  font-service 7100 xfs 7100  zope-ftp 8021
		http-alt 8080 webcache 8080  tproxy 8081  omniorb 8088  puppet 8140
		clc-build-daemon 8990  xinetd 9098  bacula-dir 9101 bacula-fd 9102
		bacula-sd 9103  git 9418  xmms2 9667  zope 9673  webmin 10000
		zabbix-agent 10050 zabbix-trapper 10051  amanda 10080  kamanda 10081
		amandaidx 10082  amidxtape 10083  nbd 10809  hkp 11371
		db-lsp 17500  dcap 22125  gsidcap 22128  wnn6 22273  binkp 24554  csync2 30865
		dircproxy 57000  tfido 60177  fido 60179
		pawserv 345 zserv 346  proofd 1093  xtel 1313 xtelw 1314  f5-globalsite 2792  fax 4557
		sgi-cad 17004`,
	"udp": `fsp 21 fspd 21  bootps 67  bootpc 68  tftp 69  ntp 123  netbios-ns 137
		netbios-dgm 138  xdmcp 177  ptp-event 319  ptp-general 320
		clearcase 371 Clearcase 371  isakmp 500  biff 512 comsat 512  who 513 whod 513
		talk 517  ntalk 518  route 520 router 520 routed 520  dhcpv6-client 546
		dhcpv6-server 547  asf-rmcp 623  passwd-server 752 passwd_server 752
		moira-ureg 779 moira_ureg 779  sgi-cmsd 17001 sgi-crsd 17002 sgi-gcd 17003
		predict 1210  ms-sql-m 1434  l2f 1701 l2tp 1701  zephyr-srv 2102
		zephyr-clt 2103  zephyr-hm 2104  icpv2 3130 icp 3130  ipsec-nat-t 4500
		iax 4569  mdns 5353  rplay 5555  babel 6696  afs3-fileserver 7000
		afs3-callback 7001  afs3-prserver 7002  afs3-vlserver 7003  afs3-kaserver 7004
		afs3-volser 7005  afs3-bos 7007  afs3-update 7008  afs3-rmtsys 7009`,
})

// makeServices reads "name port name port …" under each of tcp, udp and both.
func makeServices(lists map[string]string) map[string]service {
	m := make(map[string]service)
	for over, list := range lists {
		f := strings.Fields(list)
		for i := 0; i+1 < len(f); i += 2 {
			port := uint16(0)
			for _, c := range f[i+1] {
				port = port*10 + uint16(c-'0')
			}
			s := m[f[i]]
			if over != "udp" {
				s.tcp = port
			}
			if over != "tcp" {
				s.udp = port
			}
			m[f[i]] = s
		}
	}
	return m
}

// IP protocol numbers.
const (
	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoIGRP   = 9
	protoUDP    = 17
	protoFrag   = 44
	protoESP    = 50
	protoAH     = 51
	protoICMPv6 = 58
	protoPIM    = 103
	protoVRRP   = 112
	protoSCTP   = 132
)

// ipProtocols are the names of IANA's protocol numbers.
var ipProtocols = map[string]uint32{
	"ip": 0, "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "st": 5, "tcp": 6,
	"egp": 8, "igp": 9, "pup": 12, "udp": 17, "hmp": 20, "xns-idp": 22, "rdp": 27,
	"iso-tp4": 29, "dccp": 33, "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6": 41,
	"ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50,
	"ah": 51, "skip": 57, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73,
	"vmtp": 81, "eigrp": 88, "ospf": 89, "ax.25": 93, "ipip": 94, "etherip": 97,
	"encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124,
	"sctp": 132, "fc": 133, "mobility-header": 135, "udplite": 136, "mpls-in-ip": 137,
	"ip-encap": 4, "ipsec-esp": 50, "ipsec-ah": 51, "cphb": 73, "ospfigp": 89,
	"manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142, "ethernet": 143,
}

// Ethernet types, and the LLC addresses (below 256) that mean a protocol on links without an Ethernet type.
const (
	etherMTU = 1500 // a greater field is a type, any other a length

	etherMOPDL  = 0x6001
	etherMOPRC  = 0x6002
	etherDECnet = 0x6003
	etherLAT    = 0x6004
	etherSCA    = 0x6007
	etherTEB    = 0x6558
	etherNS     = 0x0600
	etherIP     = 0x0800
	etherARP    = 0x0806
	etherRARP   = 0x8035
	etherAtalk  = 0x809b
	etherAARP   = 0x80f3
	ether8021Q  = 0x8100
	etherIPX    = 0x8137
	etherIP6    = 0x86dd
	etherMPLS   = 0x8847
	etherPPPoED = 0x8863
	etherPPPoES = 0x8864
	ether8021AD = 0x88a8
	etherLoop   = 0x9000
	etherQinQ   = 0x9100

	llcIP      = 0x06
	llcSTP     = 0x42
	llcSNAP    = 0xaa
	llcIPX     = 0xe0
	llcNetBEUI = 0xf0
	llcISO     = 0xfe
)

var etherProtocols = map[string]uint32{
	"aarp": etherAARP, "arp": etherARP, "atalk": etherAtalk, "decnet": etherDECnet,
	"ip": etherIP, "ip6": etherIP6, "lat": etherLAT, "loopback": etherLoop,
	"mopdl": etherMOPDL, "moprc": etherMOPRC, "rarp": etherRARP, "sca": etherSCA,
	"iso": llcISO, "stp": llcSTP, "ipx": llcIPX, "netbeui": llcNetBEUI,
}

// OSI network layer protocols (the first byte of the network PDU).
const (
	osiCLNP = 0x81
	osiESIS = 0x82
	osiISIS = 0x83
)

var osiProtocols = map[string]uint32{"clnp": osiCLNP, "esis": osiESIS, "isis": osiISIS}
