// Package sensor turns live inputs into events: what a kernel sees, what an API
// server writes to its audit log. Children of this package are the sensors; each
// also reads what was recorded, so that the same rules can be tried on it.
package sensor
