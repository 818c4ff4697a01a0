package decode

// maxTunnels bounds how deep tunnels are followed.
const maxTunnels = 4

// tunnelProto marks the protocols that a tunnel may lie in.
var tunnelProto [256]bool

// decapsulate is here to be filled.
func (p *Packet) decapsulate(frame []byte) {}
