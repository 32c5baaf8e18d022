package devissuer

// authorization is what a client may do, and in whose name. Everything that it
// was given for that points here, and ends with it.
type authorization struct {
	client  Client
	subject string // a user's ID; of client credentials the client's
	user    string // the user's ID; empty for client credentials
	scopes  []string
	ended   bool // guarded by state.mu
}
