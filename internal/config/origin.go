package config

// origins says where each key was set that was, by its path
// (issuers[0].jwks.timeout): a line of the file, a variable or a flag.
type origins map[string]string
