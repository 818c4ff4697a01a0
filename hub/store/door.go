package store

import (
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// agentsAccount is the account of agents in the embedded server. JetStream and this process are in the global one.
//
// An agent chooses the subject of the answer to what it publishes, and the server sends it there with its own permissions.
// In one account with JetStream, an agent could so overwrite a rollup, a host or the boot number with an acknowledgement, and
// send requests to the API of JetStream. In an account of their own, answers reach agents only.
const agentsAccount = "AGENTS"

// door decides who may do what in the embedded server. This process may do everything. Agents may publish snapshots and
// read the answers to that, but not other subjects: not the API by which streams are read and deleted.
type door struct {
	secret, token, prefix string
	ready                 chan struct{} // closed when there is the account
	account               *server.Account
}

// raw and want are the subjects of snapshots, and of requests to agents.
func (d *door) raw() string  { return d.prefix + ".raw.*.*" }
func (d *door) want() string { return d.prefix + ".want.*" }

// open makes the account of agents in a server that has started, and lets them in.
func (d *door) open(s *server.Server) error {
	agents, err := s.RegisterAccount(agentsAccount)
	if err != nil {
		return fmt.Errorf("account %s: %w", agentsAccount, err)
	}
	hub, only := s.GlobalAccount(), []*server.Account{agents}
	if err := hub.AddServiceExport(d.raw(), only); err != nil {
		return fmt.Errorf("export %s: %w", d.raw(), err)
	}
	if err := agents.AddServiceImport(hub, d.raw(), d.raw()); err != nil {
		return fmt.Errorf("import %s: %w", d.raw(), err)
	}
	if err := hub.AddStreamExport(d.want(), only); err != nil {
		return fmt.Errorf("export %s: %w", d.want(), err)
	}
	if err := agents.AddStreamImport(hub, d.want(), ""); err != nil {
		return fmt.Errorf("import %s: %w", d.want(), err)
	}
	d.account = agents
	close(d.ready)
	return nil
}

// openWait is how long an agent waits for the server to be ready. It is less than the server's limit for logins.
const openWait = time.Second

// Check reports whether a client may enter.
func (d *door) Check(c server.ClientAuthentication) bool {
	token := c.GetOpts().Token
	switch {
	case subtle.ConstantTimeCompare([]byte(token), []byte(d.secret)) == 1:
		c.RegisterUser(&server.User{Username: "hub"})
		return true
	case d.token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(d.token)) != 1:
		return false
	}
	wait := time.NewTimer(openWait)
	defer wait.Stop()
	select {
	case <-d.ready:
		c.RegisterUser(&server.User{Username: "agent", Account: d.account, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{d.raw()}},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>", d.want()}},
		}})
		return true
	case <-wait.C:
		return false
	}
}
