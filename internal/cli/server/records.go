package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/store"
)

// remembered is what can be looked up.
type remembered interface {
	store.Results
	store.Reviews
}

// checkLocal refuses addresses that others reach: nobody is asked who they are there.
func checkLocal(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || (ip == nil || !ip.IsLoopback()) && host != "localhost" {
		return fmt.Errorf("--local-listen %s: want a loopback address, as 127.0.0.1:8081", address)
	}
	return nil
}

// records answers what the store remembers:
//
//	GET /results?namespace=&kind=&decided=true&after=UID&limit=   {"results": [...], "after": "UID of the last"}
//	GET /reviews?namespace=&denied=true&since=RFC3339&limit=      {"reviews": [...]}
func records(st remembered) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /results", func(w http.ResponseWriter, r *http.Request) {
		q, limit, err := query(r, "cluster", "namespace", "kind", "decided", "after")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		results, err := st.Results(r.Context(), store.ResultQuery{
			Cluster: q.Get("cluster"), Namespace: q.Get("namespace"), Kind: q.Get("kind"), Decided: q.Get("decided") == "true", After: q.Get("after"), Limit: limit,
		})
		after := ""
		if len(results) > 0 {
			after = results[len(results)-1].UID
		}
		answer(w, map[string]any{"results": some(results), "after": after}, err)
	})
	mux.HandleFunc("GET /reviews", func(w http.ResponseWriter, r *http.Request) {
		q, limit, err := query(r, "namespace", "denied", "since")
		var since time.Time
		if text := q.Get("since"); err == nil && text != "" {
			since, err = time.Parse(time.RFC3339, text)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reviews, err := st.Reviews(r.Context(), store.ReviewQuery{Namespace: q.Get("namespace"), Denied: q.Get("denied") == "true", Since: since, Limit: limit})
		answer(w, map[string]any{"reviews": some(reviews)}, err)
	})
	return localOnly(mux)
}

// localOnly refuses what a page in somebody's browser asks through a name of its own
// for this machine (DNS rebinding).
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "ask by 127.0.0.1 or localhost", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// query are a request's parameters, which have these names or are limit. Those that are
// yes or no, decided and denied, are true, false or not there.
func query(r *http.Request, names ...string) (url.Values, int, error) {
	q := r.URL.Query()
	for _, key := range slices.Sorted(maps.Keys(q)) {
		value := q.Get(key)
		switch {
		case key != "limit" && !slices.Contains(names, key):
			return nil, 0, fmt.Errorf("%s is not known here: want some of %s, limit", key, strings.Join(names, ", "))
		case (key == "decided" || key == "denied") && value != "true" && value != "false":
			return nil, 0, fmt.Errorf("%s=%s: want true or false", key, value)
		}
	}
	limit, err := number(q, "limit")
	return q, limit, err
}

func number(q url.Values, key string) (int, error) {
	const most = 10_000
	text := q.Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s=%s: want 1 to %d", key, text, most)
	}
	return n, nil
}

// some is the list, empty where it is nil.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}
