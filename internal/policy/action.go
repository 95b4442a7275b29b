package policy

// Action is what the rule asks for in a phase; "" is nothing.
func (r *Rule) Action(phase string) string { return r.actions[phase] }
