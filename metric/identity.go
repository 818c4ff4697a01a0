package metric

// Identity says whose summary a bucket is. A field is empty if it is not known, or if the bucket is the merge of
// several.
type Identity struct {
	// Host is the name by which a hub distinguishes agents.
	Host string
	// Tap is the name of the tap that the packets came from. Policy is the name of the policy that counted them.
	Tap, Policy string
}

// Common returns the identity of a merge of both. A field in which they differ is empty.
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
