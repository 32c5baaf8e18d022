package config

import "fmt"

// Options say where the configuration comes from.
type Options struct {
	// Path is the file. Empty: the one that LINEGATE_CONFIG names, or none.
	Path string
	// Environ is the environment as os.Environ has it. A scalar key outside
	// lists is set by its variable: LINEGATE_SESSION_IDLE_TIMEOUT.
	Environ []string
	// Flags are the flags that were given, by name without dashes, each
	// with its values: several for a list, one for any other.
	Flags map[string][]string
	// SkipFiles leaves the files that the configuration names unopened, for
	// those who want to read it on another machine.
	SkipFiles bool
}

// Warning is one line about what is accepted and probably not meant.
type Warning string

// Load reads the configuration and checks all of it, the files that it names
// included. A flag goes before the environment, that before the file, and that
// before the default. The first thing wrong is the error: one line that names
// the flag, the variable, or file, line and key. Relative paths are relative to
// the working directory.
func Load(o Options) (*Config, []Warning, error) {
	c := Default()
	vars := variables(o.Environ)
	path, from := o.Path, "--config"
	if path == "" {
		path, from = vars[FileVariable], FileVariable
	}
	if path != "" {
		text, err := readFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", from, err)
		}
		if err := c.parse(path, text); err != nil {
			return nil, nil, err
		}
	}
	warnings, err := c.readEnvironment(vars)
	if err != nil {
		return nil, warnings, err
	}
	if err := c.readFlags(o.Flags); err != nil {
		return nil, warnings, err
	}
	more, err := c.Validate()
	warnings = append(warnings, more...)
	if err == nil && !o.SkipFiles {
		err = c.checkFiles()
	}
	if err != nil {
		return nil, warnings, err
	}
	return c, warnings, nil
}
