package policy

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"pktvisor/subject"
)

// Push says where the finished minutes of a live capture are pushed.
type Push struct {
	// Servers are the NATS URLs of a hub or a cluster, without user and token. Without one, nothing is pushed.
	Servers []string `name:"servers"`
	// Prefix is the prefix of the NATS subjects.
	Prefix string `name:"prefix"`
	// Creds is the path of a NATS credentials file, TokenFile that of a file with a token. At most one is given.
	Creds     string `name:"creds"`
	TokenFile string `name:"token_file"`
	// CA is the path of the certificates to trust, in PEM. Cert and Key are those of a client certificate and its key.
	CA   string `name:"ca"`
	Cert string `name:"cert"`
	Key  string `name:"key"`
}

// DefaultPush returns the defaults of pushing. It pushes nothing.
func DefaultPush() Push { return Push{Prefix: "pv"} }

// maxServers bounds the servers of a cluster.
const maxServers = 32

func (p *Push) validate(f faults) {
	if len(p.Servers) > maxServers {
		f.problem("servers", fmt.Sprintf("%d URLs: give at most %d", len(p.Servers), maxServers))
	} else {
		for _, s := range p.Servers {
			if err := checkServer(s); err != nil {
				f.problem("servers", err.Error())
			}
		}
	}
	if err := subject.CheckPrefix(p.Prefix); err != nil {
		f.value("prefix", p.Prefix, "%v", err)
	}
	if len(p.Servers) == 0 {
		for _, given := range []struct{ field, value string }{
			{"creds", p.Creds}, {"token_file", p.TokenFile}, {"ca", p.CA}, {"cert", p.Cert}, {"key", p.Key},
		} {
			if given.value != "" {
				f.sentence(given.field, func(names ...string) string { return names[0] + " is for " + names[1] + ": give both" }, "push.servers")
			}
		}
	}
	if p.Creds != "" && p.TokenFile != "" {
		f.sentence("token_file", func(names ...string) string { return "give " + names[1] + " or " + names[0] + ", not both" }, "push.creds")
	}
	if (p.Cert == "") != (p.Key == "") {
		f.sentence("cert", func(names ...string) string { return "give " + names[0] + " and " + names[1] + ", or neither" }, "push.key")
	}
}

// checkServer returns an error that says what is wrong with the URL of a server, or nil. It does not repeat a secret.
func checkServer(server string) error {
	if strings.Contains(server, "@") {
		return errors.New("a URL with a user or a token: other users can see the command line, so give credentials or a token in a file")
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || server != u.Scheme+"://"+u.Host {
		return fmt.Errorf("%.100q is not the URL of a NATS server: write it like nats://192.0.2.1:4222 or tls://hub.example:4222", server)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return fmt.Errorf("%.100q: the port is not a number from 1 to 65535", server)
	}
	return nil
}
