package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestWrongUsage gives each option a wrong value. The program says which, and ends with the code for that.
func TestWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--agent :":                          "--agent :",
		"--agent ns1,pop":                    "--agent ns1,pop",
		"-p 70000":                           "-p 70000",
		"--periods 1":                        "--periods 1",
		"--http-host a/b":                    "--http-host",
		"--tag x":                            "--tag",
		"--name \x01":                        "--name",
		"--name " + strings.Repeat("x", 256): "--name",
		"--keep 2m=4h":                       "--keep",
		"--raw-size 3":                       "--raw-size",
		"--nats-listen x":                    "--nats-listen",
		"--nats-cert a":                      "--nats-cert",
		"--nats-cert a --nats-key b":         "--nats-cert: only",
		"--nats-token-file a":                "--nats-token-file: only",
		"--nats-creds a":                     "--nats-creds: only",
		"--nats-ca a":                        "--nats-ca: only",
		"--nats-replicas 1":                  "--nats-replicas: only",
		"--nats u --data d":                  "--data with --nats",
		"--nats u --nats-listen :1":          "--nats-listen with --nats",
		"--nats-prefix a.b":                  "--nats-prefix",
		"--prom-topn -1":                     "--prom-topn -1",
		"--prom-topn 1001":                   "--prom-topn 1001",
		"--prom-disable nosuch":              "--prom-disable nosuch",
		"--log-format xml":                   "--log-format xml",
		"--log-level loud":                   "--log-level loud",
		"--config /nonexistent":              "--config",
		"more":                               "unexpected argument",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Split(args, " "), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: code %d, %s", args, code, errs.String())
		}
	}
}
