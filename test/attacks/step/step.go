// Package step is what package attacks tells its tool in a container to do, and what
// the tool answers: JSON, one object after another.
package step

import "time"

// Pause follows every command, for what it left running to be over.
const Pause = 30 * time.Millisecond

// Step is a command for the shell.
type Step struct {
	Name    string `json:"name"`
	Command string `json:"command"`
}

// Result is when a step was done, by the clock of the machine.
type Result struct {
	Name   string    `json:"name"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
	Output string    `json:"output,omitempty"`
}
