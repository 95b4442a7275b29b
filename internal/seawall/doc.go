// Package seawall is the vocabulary every other package speaks: what is looked
// at (Asset, Target, Layer, Entry, File), what is known about it (Fact), what
// is wrong with it (Finding), what was decided (Decision), and the stream they
// travel in (Message).
//
// It imports the standard library only and contains no behaviour beyond what a
// value needs to describe, order or encode itself. The JSON names are a
// contract: a report, a jsonl stream, the layer cache and later the agents'
// uploads are all made of these types.
//
// Data flows one way:
//
//	source -> Target -> inventory -> Fact -> detect -> Finding -> policy -> Decision -> sink
package seawall
