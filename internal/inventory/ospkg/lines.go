package ospkg

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// maxLine bounds a line of a text database. The longest seen in Debian's
	// archive, a dependency list, is 12 KiB.
	maxLine = 1 << 20
	// firstBuffer is enough for almost every line.
	firstBuffer = 64 << 10
	// maxRecords bounds the packages of one database; Debian has 64,000 in all.
	maxRecords = 1 << 18
	// maxOwned and maxOwnedBytes bound the owned paths remembered of one file.
	maxOwned      = 1 << 18
	maxOwnedBytes = 32 << 20
)

// eachLine calls line with every line of the content, without its end. The
// bytes are valid until line returns.
func eachLine(c seawall.Content, line func(number int, text []byte)) error {
	s := bufio.NewScanner(c)
	s.Buffer(make([]byte, 0, min(c.Size()+1, firstBuffer)), maxLine)
	number := 0
	for s.Scan() {
		number++
		line(number, s.Bytes())
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d bytes: %w", number+1, maxLine, seawall.ErrBound)
	} else if err != nil {
		return fmt.Errorf("after line %d: %w", number, err)
	}
	return nil
}

// damage counts what was wrong in a file and keeps the first of it.
type damage struct {
	first error
	count int
}

func (d *damage) add(err error) {
	if d.first == nil {
		d.first = err
	}
	d.count++
}

// corrupt records a damaged place.
func (d *damage) corrupt(format string, args ...any) {
	d.add(fmt.Errorf(format+": %w", append(args, seawall.ErrCorrupt)...))
}

// err is nil when nothing was wrong.
func (d *damage) err() error {
	if d.count > 1 {
		return fmt.Errorf("%w (and %d more)", d.first, d.count-1)
	}
	return d.first
}

// errTooMany is the end of a database with more than maxRecords packages.
var errTooMany = fmt.Errorf("more than %d packages: %w", maxRecords, seawall.ErrBound)
