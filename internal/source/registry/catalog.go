package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxRepositories and maxTags bound what one walk takes in.
const maxRepositories, maxTags = 200_000, 200_000

// repositories lists those of a registry under a prefix, sorted. Most registries have
// the catalog of the distribution specification's first implementation; some of the
// large public ones have an interface of their own, and some none that needs no
// further credentials: the error then says to name repositories.
func (s *session) repositories(ctx context.Context, prefix string) ([]string, error) {
	var list []string
	var err error
	switch kind := hostKind(s.host); {
	case kind == hostDockerHub:
		list, err = s.hubRepositories(ctx, prefix)
	case kind == hostQuay:
		list, err = s.quayRepositories(ctx, prefix)
	case kind == hostNoCatalog:
		return nil, s.noCatalog(nil)
	case kind == hostGoogle && prefix != "":
		list, err = s.childRepositories(ctx, prefix)
	default:
		list, err = s.catalog(ctx)
		if status := statusOf(err); status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
			list, err = s.otherCatalog(ctx, prefix, err)
		}
	}
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(r string) bool { return !under(r, prefix) || !repositoryName(r) })
	slices.Sort(list)
	return slices.Compact(list), nil
}

// The kinds of host whose listing differs from the catalog.
const (
	hostOther = iota
	hostDockerHub
	hostQuay
	hostGoogle
	hostNoCatalog
)

func hostKind(host string) int {
	switch {
	case host == "docker.io":
		return hostDockerHub
	case host == "quay.io":
		return hostQuay
	case host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, "-docker.pkg.dev"):
		return hostGoogle
	case host == "ghcr.io" || host == "registry.gitlab.com" || host == "public.ecr.aws" || host == "mcr.microsoft.com":
		return hostNoCatalog
	}
	return hostOther
}

// under tells whether a repository is prefix or lies below it.
func under(repository, prefix string) bool {
	return prefix == "" || repository == prefix || strings.HasPrefix(repository, prefix+"/")
}

// repositoryName tells names by the distribution specification from what a registry might make up.
func repositoryName(s string) bool { return len(s) <= 255 && repositoryPattern().MatchString(s) }

// catalog is GET /v2/_catalog, page by page.
func (s *session) catalog(ctx context.Context) ([]string, error) {
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, s.reg)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	c, err := s.login(ctx, auth, "", "registry:catalog:*")
	if err != nil {
		return nil, err
	}
	var list []string
	err = c.pages(ctx, "_catalog?n=1000", func(raw json.RawMessage) error {
		var page struct {
			Repositories []string `json:"repositories"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return err
		}
		list = append(list, page.Repositories...)
		return bounded(len(list), maxRepositories, "repositories")
	})
	return list, err
}

func bounded(n, most int, what string) error {
	if n > most {
		return fmt.Errorf("%w: more than %d %s", seawall.ErrBound, most, what)
	}
	return nil
}

// otherCatalog is for a registry without a catalog for us: Harbor lists a project's
// repositories in an interface of its own. cause is what the catalog answered.
func (s *session) otherCatalog(ctx context.Context, prefix string, cause error) ([]string, error) {
	project, _, _ := strings.Cut(prefix, "/")
	if project == "" {
		return nil, s.noCatalog(cause)
	}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, s.reg)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	c := &client{http: &http.Client{Transport: &basicAuth{inner: s.polite, host: s.reg.RegistryStr(), auth: auth}}, prefix: s.origin()}
	var list []string
	err = c.pages(ctx, "api/v2.0/projects/"+url.PathEscape(project)+"/repositories?page_size=100", func(raw json.RawMessage) error {
		var page []struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return err
		}
		for _, r := range page {
			list = append(list, r.Name)
		}
		return bounded(len(list), maxRepositories, "repositories")
	})
	if err != nil {
		return nil, s.noCatalog(cause)
	}
	return list, nil
}

// origin is where a registry's own interface begins.
func (s *session) origin() string { return s.reg.Scheme() + "://" + s.reg.RegistryStr() + "/" }

// basicAuth logs in to an interface that has no token handshake.
type basicAuth struct {
	inner http.RoundTripper
	host  string
	auth  authn.Authenticator
}

// RoundTrip implements http.RoundTripper.
func (b *basicAuth) RoundTrip(req *http.Request) (*http.Response, error) {
	cfg, err := authn.Authorization(req.Context(), b.auth)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if cfg.Username != "" && req.URL.Host == b.host {
		req = req.Clone(req.Context())
		req.SetBasicAuth(cfg.Username, cfg.Password)
	}
	return b.inner.RoundTrip(req)
}

// noCatalog explains that repositories must be named.
func (s *session) noCatalog(cause error) error {
	err := fmt.Errorf("%s: %w: the registry does not list its repositories", s.host, seawall.ErrUnreadable)
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return seawall.WithHint(err, "name them with --repository team/app (repeatable), or log in with an account that may list: docker login "+s.host)
}

// hubRepositories lists a namespace of Docker Hub, which has no catalog.
func (s *session) hubRepositories(ctx context.Context, prefix string) ([]string, error) {
	namespace, _, _ := strings.Cut(prefix, "/")
	if namespace == "" {
		return nil, seawall.WithHint(fmt.Errorf("%s: %w: Docker Hub cannot be scanned as a whole", s.host, seawall.ErrUsage), "name a namespace: docker.io/NAMESPACE")
	}
	return s.linked(ctx, "https://hub.docker.com/v2/namespaces/"+url.PathEscape(namespace)+"/repositories?page_size=100", func(raw []byte) ([]string, string, error) {
		var page struct {
			Next    string `json:"next"`
			Results []struct {
				Name string `json:"name"`
			} `json:"results"`
		}
		err := json.Unmarshal(raw, &page)
		var names []string
		for _, r := range page.Results {
			names = append(names, namespace+"/"+r.Name)
		}
		return names, page.Next, err
	})
}

// quayRepositories lists a namespace of quay.io.
func (s *session) quayRepositories(ctx context.Context, prefix string) ([]string, error) {
	namespace, _, _ := strings.Cut(prefix, "/")
	if namespace == "" {
		return nil, seawall.WithHint(fmt.Errorf("%s: %w: quay.io cannot be scanned as a whole", s.host, seawall.ErrUsage), "name a namespace: quay.io/NAMESPACE")
	}
	start := "https://quay.io/api/v1/repository?public=true&namespace=" + url.QueryEscape(namespace)
	return s.linked(ctx, start, func(raw []byte) ([]string, string, error) {
		var page struct {
			NextPage     string `json:"next_page"`
			Repositories []struct {
				Name string `json:"name"`
			} `json:"repositories"`
		}
		err := json.Unmarshal(raw, &page)
		var names []string
		for _, r := range page.Repositories {
			names = append(names, namespace+"/"+r.Name)
		}
		next := ""
		if page.NextPage != "" {
			next = start + "&next_page=" + url.QueryEscape(page.NextPage)
		}
		return names, next, err
	})
}

// linked reads a listing whose pages name the next one in their body. Nothing
// of ours goes along: these interfaces are public.
func (s *session) linked(ctx context.Context, start string, decode func([]byte) (names []string, next string, err error)) ([]string, error) {
	c := &client{http: &http.Client{Transport: s.polite}}
	var list []string
	for page, next := 0, start; next != ""; page++ {
		if page == maxPages {
			return nil, fmt.Errorf("%s: %w: more than %d pages", s.host, seawall.ErrBound, maxPages)
		}
		if !sameHost(start, next) {
			return nil, fmt.Errorf("%s: %w: next page %q is at another host", s.host, seawall.ErrCorrupt, next)
		}
		raw, _, err := c.fetch(ctx, http.MethodGet, next, "application/json", maxPage)
		if err != nil {
			return nil, s.noCatalog(err)
		}
		var names []string
		if names, next, err = decode(raw); err != nil {
			return nil, fmt.Errorf("%s: %w: list of repositories: %w", s.host, seawall.ErrCorrupt, err)
		}
		list = append(list, names...)
		if err := bounded(len(list), maxRepositories, "repositories"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func sameHost(a, b string) bool {
	x, err1 := url.Parse(a)
	y, err2 := url.Parse(b)
	return err1 == nil && err2 == nil && x.Host == y.Host && x.Scheme == y.Scheme
}

// childRepositories walks Google's registries, whose tag lists name the repositories below.
func (s *session) childRepositories(ctx context.Context, prefix string) ([]string, error) {
	var list []string
	for queue := []string{prefix}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		list = append(list, at)
		if err := bounded(len(list), maxRepositories, "repositories"); err != nil {
			return nil, err
		}
		c, err := s.repository(ctx, at)
		if err != nil {
			return nil, err
		}
		err = c.pages(ctx, "tags/list?n=1000", func(raw json.RawMessage) error {
			var page struct {
				Child []string `json:"child"`
			}
			if err := json.Unmarshal(raw, &page); err != nil {
				return err
			}
			for _, child := range page.Child {
				if below := at + "/" + child; repositoryName(below) {
					queue = append(queue, below)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// tags lists those of a repository, in the registry's order.
func (c *client) tags(ctx context.Context) ([]string, error) {
	var list []string
	err := c.pages(ctx, "tags/list?n=1000", func(raw json.RawMessage) error {
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return err
		}
		for _, t := range page.Tags {
			if tagPattern().MatchString(t) {
				list = append(list, t)
			}
		}
		return bounded(len(list), maxTags, "tags")
	})
	if statusOf(err) == http.StatusNotFound {
		return nil, nil // in the catalog, but without any tag: distribution answers so
	}
	return list, err
}

// selection is the user's globs. A pattern is of repositories, or REPOSITORY:TAG;
// * stands for anything but a slash, ** for anything, ? for one character.
type selection struct{ include, exclude []pattern }

type pattern struct{ repository, tag *regexp.Regexp }

func newSelection(include, exclude []string) (selection, error) {
	var s selection
	for _, list := range []struct {
		globs []string
		to    *[]pattern
	}{{include, &s.include}, {exclude, &s.exclude}} {
		for _, glob := range list.globs {
			repository, tag, tagged := strings.Cut(glob, ":")
			if repository == "" || tagged && tag == "" || strings.ContainsAny(glob, "[]{}\\ ") || !utf8.ValidString(glob) {
				return s, seawall.WithHint(fmt.Errorf("pattern %q: %w", glob, seawall.ErrUsage), "write team/*, **/app or team/app:v1.*")
			}
			p := pattern{repository: globPattern(repository)}
			if tagged {
				p.tag = globPattern(tag)
			}
			*list.to = append(*list.to, p)
		}
	}
	return s, nil
}

// globPattern turns a glob into an anchored regular expression.
func globPattern(glob string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(glob)
	quoted = strings.NewReplacer(`\*\*/`, `(?:.*/)?`, `\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`).Replace(quoted)
	return regexp.MustCompile("^" + quoted + "$")
}

// repository tells whether any of its tags may be wanted.
func (s selection) repository(name string) bool {
	if len(s.include) > 0 && !slices.ContainsFunc(s.include, func(p pattern) bool { return p.repository.MatchString(name) }) {
		return false
	}
	return !slices.ContainsFunc(s.exclude, func(p pattern) bool { return p.tag == nil && p.repository.MatchString(name) })
}

// tag tells whether a tag of a wanted repository is wanted.
func (s selection) tag(repository, tag string) bool {
	match := func(p pattern) bool {
		return p.repository.MatchString(repository) && (p.tag == nil || p.tag.MatchString(tag))
	}
	return (len(s.include) == 0 || slices.ContainsFunc(s.include, match)) && !slices.ContainsFunc(s.exclude, match)
}
