package expression

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"path"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// library declares the functions beyond cel-go's own. Names and meanings of
// quantity, semver, ip and cidr are those of Kubernetes
// (https://kubernetes.io/docs/reference/using-api/cel/).
func library() []cel.EnvOption {
	var options []cel.EnvOption
	for _, t := range [][]cel.EnvOption{
		ordered(quantityType, parseQuantity, func(a, b *big.Rat) int { return a.Cmp(b) }),
		ordered(semverType, parseVersion, compareVersions),
		quantityFunctions(), versionFunctions(), addressFunctions(), globFunctions(), imageFunctions(),
	} {
		options = append(options, t...)
	}
	return options
}

// boxed is a value of a type the language does not have.
type boxed[T any] struct {
	kind  *types.Type
	value T
}

func (b boxed[T]) Type() ref.Type { return b.kind }
func (b boxed[T]) Value() any     { return b.value }

func (b boxed[T]) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("no conversion from %s to %s", b.kind.TypeName(), t)
}

func (b boxed[T]) Equal(other ref.Val) ref.Val {
	o, ok := other.(boxed[T])
	return types.Bool(ok && b.kind != opaqueType && fmt.Sprint(o.value) == fmt.Sprint(b.value))
}

func (b boxed[T]) ConvertToType(t ref.Type) ref.Val {
	if t == types.StringType {
		return types.String(fmt.Sprint(b.value))
	}
	return types.NewErr("no conversion from %s to %s", b.kind.TypeName(), t.TypeName())
}

// overload declares one form of a function that takes plain arguments.
func overload(name, id string, result *cel.Type, call func(args ...ref.Val) ref.Val, params ...*cel.Type) cel.EnvOption {
	return cel.Function(name, cel.Overload(id, params, result, cel.FunctionBinding(call)))
}

// method declares one form of a function that is called on a value.
func method(name, id string, result *cel.Type, call func(args ...ref.Val) ref.Val, params ...*cel.Type) cel.EnvOption {
	return cel.Function(name, cel.MemberOverload(id, params, result, cel.FunctionBinding(call)))
}

// ordered declares a type with a constructor from strings, isX, and comparisons.
func ordered[T any](kind *types.Type, parse func(string) (T, error), compare func(a, b T) int) []cel.EnvOption {
	name := kind.TypeName()
	compared := func(holds func(int) ref.Val) func(...ref.Val) ref.Val {
		return func(args ...ref.Val) ref.Val {
			return holds(compare(args[0].(boxed[T]).value, args[1].(boxed[T]).value))
		}
	}
	is := "is" + strings.ToUpper(name[:1]) + name[1:]
	if name == "semver" {
		is = "isSemver"
	}
	return []cel.EnvOption{
		overload(name, "string_to_"+name, kind, func(args ...ref.Val) ref.Val {
			v, err := parse(string(args[0].(types.String)))
			if err != nil {
				return types.WrapErr(err)
			}
			return boxed[T]{kind, v}
		}, cel.StringType),
		overload(is, "is_"+name+"_string", cel.BoolType, func(args ...ref.Val) ref.Val {
			_, err := parse(string(args[0].(types.String)))
			return types.Bool(err == nil)
		}, cel.StringType),
		method("isLessThan", name+"_is_less_than", cel.BoolType, compared(func(c int) ref.Val { return types.Bool(c < 0) }), kind, kind),
		method("isGreaterThan", name+"_is_greater_than", cel.BoolType, compared(func(c int) ref.Val { return types.Bool(c > 0) }), kind, kind),
		method("compareTo", name+"_compare_to", cel.IntType, compared(func(c int) ref.Val { return types.Int(c) }), kind, kind),
	}
}

var (
	quantityType = cel.ObjectType("quantity")
	semverType   = cel.ObjectType("semver")
	opaqueType   = cel.ObjectType("opaque")
)

// maxExponent bounds a quantity's exponent, so that reading one stays cheap.
const maxExponent = 30

// parseQuantity reads "100m", "1.5Gi", "2e3": Kubernetes' resource quantities.
func parseQuantity(s string) (*big.Rat, error) {
	end := strings.LastIndexAny(s, "0123456789.") + 1
	if i := strings.IndexAny(s, "eE"); i > 0 && i < end {
		end = i
	}
	number, suffix := s[:end], s[end:]
	bad := fmt.Errorf("%.40q is no quantity", s)
	if strings.ContainsAny(number, "/_xXpP") || len(number) > 40 {
		return nil, bad
	}
	v, ok := new(big.Rat).SetString(number)
	if !ok {
		return nil, bad
	}
	base, exponent := 10, 0
	switch {
	case suffix == "":
	case len(suffix) == 2 && suffix[1] == 'i':
		base, exponent = 2, 10*(1+strings.IndexByte("KMGTPE", suffix[0]))
		if exponent == 0 {
			return nil, bad
		}
	case len(suffix) == 1:
		i := strings.Index("num kMGTPE", suffix)
		if i < 0 || suffix == " " {
			return nil, bad
		}
		exponent = 3 * (i - 3)
	default:
		n, err := strconv.Atoi(suffix[1:])
		if err != nil || suffix[0] != 'e' && suffix[0] != 'E' || n > maxExponent || n < -maxExponent {
			return nil, bad
		}
		exponent = n
	}
	factor := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(int64(base)), big.NewInt(int64(max(exponent, -exponent))), nil))
	if exponent < 0 {
		return v.Quo(v, factor), nil
	}
	return v.Mul(v, factor), nil
}

func quantityFunctions() []cel.EnvOption {
	of := func(v ref.Val) *big.Rat { return v.(boxed[*big.Rat]).value }
	return []cel.EnvOption{
		method("asInteger", "quantity_as_integer", cel.IntType, func(args ...ref.Val) ref.Val {
			q := of(args[0])
			if !q.IsInt() || !q.Num().IsInt64() {
				return types.WrapErr(errors.New("the quantity is no integer of 64 bits"))
			}
			return types.Int(q.Num().Int64())
		}, quantityType),
		method("asApproximateFloat", "quantity_as_float", cel.DoubleType, func(args ...ref.Val) ref.Val {
			f, _ := of(args[0]).Float64()
			return types.Double(f)
		}, quantityType),
		method("sign", "quantity_sign", cel.IntType, func(args ...ref.Val) ref.Val {
			return types.Int(of(args[0]).Sign())
		}, quantityType),
		method("add", "quantity_add", quantityType, func(args ...ref.Val) ref.Val {
			return boxed[*big.Rat]{quantityType, new(big.Rat).Add(of(args[0]), of(args[1]))}
		}, quantityType, quantityType),
		method("sub", "quantity_sub", quantityType, func(args ...ref.Val) ref.Val {
			return boxed[*big.Rat]{quantityType, new(big.Rat).Sub(of(args[0]), of(args[1]))}
		}, quantityType, quantityType),
	}
}

// version is a semantic version (https://semver.org) without its build part.
type version struct {
	part       [3]uint64
	prerelease string
}

// parseVersion reads "1.2.3-rc.1+build". A leading v and missing minor and patch
// numbers are accepted, as Kubernetes does when asked to normalise.
func parseVersion(s string) (version, error) {
	var v version
	text, _, _ := strings.Cut(strings.TrimPrefix(s, "v"), "+")
	text, v.prerelease, _ = strings.Cut(text, "-")
	parts := strings.Split(text, ".")
	if len(parts) > 3 {
		return v, fmt.Errorf("%.40q is no version", s)
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return v, fmt.Errorf("%.40q is no version", s)
		}
		v.part[i] = n
	}
	return v, nil
}

func compareVersions(a, b version) int {
	for i := range a.part {
		if a.part[i] != b.part[i] {
			if a.part[i] < b.part[i] {
				return -1
			}
			return 1
		}
	}
	switch {
	case a.prerelease == b.prerelease:
		return 0
	case a.prerelease == "":
		return 1
	case b.prerelease == "":
		return -1
	}
	as, bs := strings.Split(a.prerelease, "."), strings.Split(b.prerelease, ".")
	for i := range min(len(as), len(bs)) {
		if c := comparePart(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return len(as) - len(bs)
}

// comparePart orders numbers before words, numbers by value.
func comparePart(a, b string) int {
	x, xerr := strconv.ParseUint(a, 10, 64)
	y, yerr := strconv.ParseUint(b, 10, 64)
	switch {
	case xerr == nil && yerr == nil && x != y:
		if x < y {
			return -1
		}
		return 1
	case xerr == nil && yerr != nil:
		return -1
	case xerr != nil && yerr == nil:
		return 1
	}
	return strings.Compare(a, b)
}

func versionFunctions() []cel.EnvOption {
	var options []cel.EnvOption
	for i, name := range []string{"major", "minor", "patch"} {
		options = append(options, method(name, "semver_"+name, cel.IntType, func(args ...ref.Val) ref.Val {
			return types.Int(args[0].(boxed[version]).value.part[i])
		}, semverType))
	}
	return options
}

// addressFunctions are isIP, isCIDR, and cidrContains(range, address).
func addressFunctions() []cel.EnvOption {
	return []cel.EnvOption{
		overload("isIP", "is_ip_string", cel.BoolType, func(args ...ref.Val) ref.Val {
			_, err := netip.ParseAddr(string(args[0].(types.String)))
			return types.Bool(err == nil)
		}, cel.StringType),
		overload("isCIDR", "is_cidr_string", cel.BoolType, func(args ...ref.Val) ref.Val {
			_, err := netip.ParsePrefix(string(args[0].(types.String)))
			return types.Bool(err == nil)
		}, cel.StringType),
		overload("cidrContains", "cidr_contains_string_string", cel.BoolType, func(args ...ref.Val) ref.Val {
			prefix, err := netip.ParsePrefix(string(args[0].(types.String)))
			if err != nil {
				return types.WrapErr(err)
			}
			address, err := netip.ParseAddr(string(args[1].(types.String)))
			if err != nil {
				return types.WrapErr(err)
			}
			return types.Bool(prefix.Contains(address.Unmap()))
		}, cel.StringType, cel.StringType),
	}
}

// globFunctions are text.glob(pattern) and text.glob([patterns]): * matches all
// but "/", ** as a whole pattern anything.
func globFunctions() []cel.EnvOption {
	matches := func(text string, pattern ref.Val) (bool, error) {
		p, ok := pattern.(types.String)
		if !ok {
			return false, errors.New("a pattern is a string")
		}
		if p == "**" {
			return true, nil
		}
		return path.Match(string(p), text)
	}
	return []cel.EnvOption{
		method("glob", "string_glob_string", cel.BoolType, func(args ...ref.Val) ref.Val {
			ok, err := matches(string(args[0].(types.String)), args[1])
			if err != nil {
				return types.WrapErr(fmt.Errorf("glob: %w", err))
			}
			return types.Bool(ok)
		}, cel.StringType, cel.StringType),
	}
}

// imageFunctions is image(name): a map of registry, repository, tag and digest,
// each "" where the name does not say it.
func imageFunctions() []cel.EnvOption {
	return []cel.EnvOption{
		overload("image", "image_string", cel.MapType(cel.StringType, cel.StringType), func(args ...ref.Val) ref.Val {
			return types.DefaultTypeAdapter.NativeToValue(imageParts(string(args[0].(types.String))))
		}, cel.StringType),
	}
}

// imageParts takes an image's name apart. As everywhere, what is in front of the
// first slash is a registry when it has a dot or a colon or is localhost.
func imageParts(name string) map[string]string {
	parts := map[string]string{"registry": "", "repository": "", "tag": "", "digest": ""}
	name, parts["digest"], _ = strings.Cut(name, "@")
	if host, rest, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		parts["registry"], name = host, rest
	}
	parts["repository"], parts["tag"], _ = strings.Cut(name, ":")
	return parts
}
