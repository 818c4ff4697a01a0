package metric

// Identity says whose summary a bucket is. A field is empty where it is not known, or where the bucket is the merge of
// several.
type Identity struct {
	// Host is the name by which a hub tells agents apart.
	Host string
	// Tap is the name of the tap that the packets came from, Policy that of the policy that counted them.
	Tap, Policy string
}

// Common returns the identity of a merge of both: a field in which they differ is empty.
func (id Identity) Common(o Identity) Identity {
	if id.Host != o.Host {
		id.Host = ""
	}
	if id.Tap != o.Tap {
		id.Tap = ""
	}
	if id.Policy != o.Policy {
		id.Policy = ""
	}
	return id
}
