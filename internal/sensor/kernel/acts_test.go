package kernel

// acts are what the children of the tests do, each in a directory of its own.
func acts() map[string]func(dir string) error {
	return map[string]func(dir string) error{}
}
