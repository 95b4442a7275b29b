package agent

import (
	"maps"
	"time"

	"github.com/seawall-security/seawall/internal/detect/rules"
)

// Rate is how many findings of one rule are told of one container, or of a node's
// processes: so many at once, and one more every Every. The zero value is no limit.
type Rate struct {
	Burst int
	Every time.Duration
}

// maxBuckets bounds what a limiter remembers.
const maxBuckets = 8192

// limiter applies a Rate. What it forgets may be told again, never less.
type limiter struct {
	Rate
	buckets map[limited]bucket
}

type limited struct {
	rule      *rules.Rule
	container string
}

type bucket struct {
	tokens float64
	filled time.Time
}

// allow says whether one more is told.
func (l *limiter) allow(rule *rules.Rule, container string, now time.Time) bool {
	if l.Burst == 0 || l.Every <= 0 {
		return true
	}
	key := limited{rule, container}
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			l.shrink(now)
		}
		b = bucket{tokens: float64(l.Burst), filled: now}
	}
	b.tokens = min(float64(l.Burst), b.tokens+float64(now.Sub(b.filled))/float64(l.Every))
	b.filled = now
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	if l.buckets == nil {
		l.buckets = map[limited]bucket{}
	}
	l.buckets[key] = b
	return allowed
}

// shrink forgets buckets that are full again; all, where none is.
func (l *limiter) shrink(now time.Time) {
	full := time.Duration(l.Burst) * l.Every
	maps.DeleteFunc(l.buckets, func(_ limited, b bucket) bool { return now.Sub(b.filled) >= full })
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}
