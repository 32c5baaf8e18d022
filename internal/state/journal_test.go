package state

// sealed is a journal with these entries, and good checksums.
func sealed(entries ...string) string {
	doc := header
	for _, text := range entries {
		doc += string(seal([]byte(text)))
	}
	return doc
}
