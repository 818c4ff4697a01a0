package policy

import "slices"

// Access says who may use the HTTP API. The files are those of access.Config. Each may be empty.
type Access struct {
	// Cert and Key are the certificate chain and the key of the server, in PEM. With them, it speaks TLS only.
	Cert string `name:"tls_cert"`
	Key  string `name:"tls_key"`
	// ClientCA has the authorities whose certificates clients must show, in PEM.
	ClientCA string `name:"tls_client_ca"`
	// AuthFile has the tokens and passwords of users.
	AuthFile string `name:"auth_file"`
	// Origins are the origins whose pages may read the answers (CORS).
	Origins []string `name:"http_origins"`
}

func (a *Access) validate(f faults, known Known) {
	if (a.Cert == "") != (a.Key == "") {
		f.sentence("tls_cert", func(names ...string) string { return "give " + names[0] + " and " + names[1] + ", or neither" }, "access.tls_key")
	}
	if a.ClientCA != "" && a.Cert == "" {
		f.sentence("tls_client_ca", func(names ...string) string {
			return names[0] + " needs TLS: give " + names[1] + " and " + names[2] + " too"
		}, "access.tls_cert", "access.tls_key")
	}
	for i, origin := range a.Origins {
		if slices.Contains(a.Origins[:i], origin) {
			continue // its mistake is reported
		}
		if err := known.Origin(origin); err != nil {
			f.problem("http_origins", err.Error())
		}
	}
}

// Validate returns all mistakes. Origin is that of [Known].
func (a *Access) Validate(origin func(string) error) []*Fault {
	var all []*Fault
	a.validate(faults{"access", &all}, Known{Origin: origin})
	return all
}
