package mutate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// operation is one of RFC 6902.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// MarshalJSON leaves the value of a removal out, and keeps one that is null.
func (o operation) MarshalJSON() ([]byte, error) {
	if o.Op == "remove" {
		return json.Marshal(struct {
			Op   string `json:"op"`
			Path string `json:"path"`
		}{o.Op, o.Path})
	}
	type plain operation
	return json.Marshal(plain(o))
}

// Patch is the RFC 6902 patch that makes after of before, [] where they are equal. The
// values are of JSON.
func Patch(before, after map[string]any) ([]byte, error) {
	text, err := json.Marshal(append([]operation{}, diff(nil, "", before, after)...))
	if err != nil {
		return nil, fmt.Errorf("writing the patch: %w", err)
	}
	return text, nil
}

// Diff tells in lines how after differs from before: "- path: value", "+ path: value".
func Diff(before, after map[string]any) []string {
	var lines []string
	for _, o := range diff(nil, "", before, after) {
		old, there := at(before, o.Path)
		if there && o.Op != "add" {
			lines = append(lines, "- "+pretty(o.Path)+": "+text(old))
		}
		if o.Op != "remove" {
			lines = append(lines, "+ "+pretty(o.Path)+": "+text(o.Value))
		}
	}
	return lines
}

// describe is Diff in short, for decisions.
func describe(before, after map[string]any) []string {
	var lines []string
	for _, o := range diff(nil, "", before, after) {
		if o.Op == "remove" {
			lines = append(lines, pretty(o.Path)+" is taken away")
		} else {
			lines = append(lines, pretty(o.Path)+" is "+text(o.Value))
		}
	}
	return lines
}

func diff(ops []operation, path string, before, after any) []operation {
	switch after := after.(type) {
	case map[string]any:
		if old, ok := before.(map[string]any); ok {
			return diffMap(ops, path, old, after)
		}
	case []any:
		if old, ok := before.([]any); ok {
			return diffList(ops, path, old, after)
		}
	}
	if !equal(before, after) {
		ops = append(ops, operation{"replace", path, after})
	}
	return ops
}

func diffMap(ops []operation, path string, before, after map[string]any) []operation {
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[key]; !kept {
			ops = append(ops, operation{Op: "remove", Path: path + "/" + escape(key)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		old, there := before[key]
		if !there {
			ops = append(ops, operation{"add", path + "/" + escape(key), after[key]})
			continue
		}
		ops = diff(ops, path+"/"+escape(key), old, after[key])
	}
	return ops
}

// diffList compares elements by their places, but for those in front and behind that
// are equal: what was put in or taken out in between moves the others.
func diffList(ops []operation, path string, before, after []any) []operation {
	front := 0
	for front < min(len(before), len(after)) && equal(before[front], after[front]) {
		front++
	}
	back := 0
	for back < min(len(before), len(after))-front && equal(before[len(before)-1-back], after[len(after)-1-back]) {
		back++
	}
	old, changed := before[front:len(before)-back], after[front:len(after)-back]
	for i := range min(len(old), len(changed)) {
		ops = diff(ops, path+"/"+strconv.Itoa(front+i), old[i], changed[i])
	}
	for i := len(old) - 1; i >= len(changed); i-- {
		ops = append(ops, operation{Op: "remove", Path: path + "/" + strconv.Itoa(front+i)})
	}
	for i := len(old); i < len(changed); i++ {
		ops = append(ops, operation{"add", path + "/" + strconv.Itoa(front+i), changed[i]})
	}
	return ops
}

func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// at is the value at a pointer of RFC 6901.
func at(v any, pointer string) (any, bool) {
	for _, key := range strings.Split(pointer, "/")[1:] {
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~")
		switch m := v.(type) {
		case map[string]any:
			var there bool
			if v, there = m[key]; !there {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(m) {
				return nil, false
			}
			v = m[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// pretty is a pointer as people write fields: spec.containers[0].image.
func pretty(pointer string) string {
	var b strings.Builder
	for _, key := range strings.Split(pointer, "/")[1:] {
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~")
		switch _, err := strconv.Atoi(key); {
		case err == nil:
			b.WriteString("[" + key + "]")
		case strings.ContainsAny(key, "./"):
			b.WriteString("[" + strconv.Quote(key) + "]")
		case b.Len() > 0:
			b.WriteString("." + key)
		default:
			b.WriteString(key)
		}
	}
	return b.String()
}

// text is a value in one line.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	out, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(out)
}
