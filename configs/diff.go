package configs

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-lb/tandem/resolve"
)

// Change is one difference between two configurations.
type Change struct {
	Sign string // +, - or ~
	What string // such as "listener web", "backend web/b1" or "cluster.priority"
	How  string // for ~: such as "balance round-robin -> least-conn"; may be empty
}

// String is the change as it is told: "~ pool web: balance round-robin -> least-conn".
func (c Change) String() string {
	if c.How == "" {
		return c.Sign + " " + c.What
	}
	return c.Sign + " " + c.What + ": " + c.How
}

// Diff says in what the second of two configurations differs, as far as that can be changed in a running process. What is not in the result is the same in both.
func Diff(was, is *Config) []Change {
	var d differ
	d.named("listener ", was.Listeners, is.Listeners)
	d.named("pool ", was.Pools, is.Pools)
	d.field("drain", was.Drain, is.Drain)
	d.field("log.level", was.Log.Level, is.Log.Level)
	d.field("resolver", was.Resolver, is.Resolver)
	d.field("access_log", was.AccessLog, is.AccessLog)
	d.field("notify", was.Notify, is.Notify)
	d.field("cluster.priority", was.Cluster.Priority, is.Cluster.Priority)
	d.field("cluster.preempt", was.Cluster.Preempt, is.Cluster.Preempt)
	d.field("cluster.preempt_delay", was.Cluster.PreemptDelay, is.Cluster.PreemptDelay)
	return d.changes
}

type differ struct{ changes []Change }

func (d *differ) tell(sign, what, how string) { d.changes = append(d.changes, Change{sign, what, how}) }

// field tells of one value.
func (d *differ) field(what string, was, is any) {
	if hows := differences("", reflect.ValueOf(was), reflect.ValueOf(is)); len(hows) > 0 {
		d.tell("~", what, strings.Join(hows, ", "))
	}
}

// named tells of lists whose elements have names, and of the backends in them.
func (d *differ) named(kind string, was, is any) {
	old, now := byName(was), byName(is)
	for _, n := range namesOf(is) {
		o, there := old[n]
		if !there {
			d.tell("+", kind+n, "")
			o = reflect.New(now[n].Type()).Elem()
		} else if hows := differences("", o, now[n]); len(hows) > 0 {
			d.tell("~", kind+n, strings.Join(hows, ", "))
		}
		if b := now[n].FieldByName("Backends"); b.IsValid() && there {
			d.named("backend "+n+"/", o.FieldByName("Backends").Interface(), b.Interface())
		}
	}
	for _, n := range namesOf(was) {
		if _, there := now[n]; !there {
			d.tell("-", kind+n, "")
		}
	}
}

func namesOf(list any) []string {
	v := reflect.ValueOf(list)
	var out []string
	for i := range v.Len() {
		out = append(out, v.Index(i).FieldByName("Name").String())
	}
	return out
}

func byName(list any) map[string]reflect.Value {
	v, out := reflect.ValueOf(list), map[string]reflect.Value{}
	for i := range v.Len() {
		out[v.Index(i).FieldByName("Name").String()] = v.Index(i)
	}
	return out
}

// differences says in what two values of one type differ. key is where they stand, in the file's words.
func differences(key string, was, is reflect.Value) []string {
	if reflect.DeepEqual(was.Interface(), is.Interface()) {
		return nil
	}
	for was.Kind() == reflect.Pointer && !was.IsNil() && !is.IsNil() {
		was, is = was.Elem(), is.Elem()
	}
	_, text := was.Interface().(fmt.Stringer)
	if was.Kind() == reflect.Struct && !text {
		var hows []string
		for i := range was.NumField() {
			f := was.Type().Field(i)
			name := keyOf(f.Name)
			switch {
			case f.Name == "Backends" && key == "", f.Type == reflect.TypeFor[[]resolve.Name](): // are told apart
			case f.Anonymous:
				hows = append(hows, differences(key, was.Field(i), is.Field(i))...)
			default:
				hows = append(hows, differences(join(key, name), was.Field(i), is.Field(i))...)
			}
		}
		return hows
	}
	if isList(was) {
		return []string{strings.TrimSpace(key + " changed" + elements(was, is))}
	}
	return []string{strings.TrimSpace(key + " " + word(was) + " -> " + word(is))}
}

func isList(v reflect.Value) bool {
	if v.Kind() != reflect.Slice {
		return v.Kind() == reflect.Pointer
	}
	_, text := reflect.Zero(v.Type().Elem()).Interface().(fmt.Stringer)
	return v.Type().Elem().Kind() == reflect.Struct && !text
}

// elements names the elements of lists that differ, if they have names.
func elements(was, is reflect.Value) string {
	if was.Kind() != reflect.Slice {
		return ""
	}
	if _, ok := was.Type().Elem().FieldByName("Name"); !ok {
		return ""
	}
	var d differ
	d.named("", was.Interface(), is.Interface())
	var out []string
	for _, c := range d.changes {
		out = append(out, c.Sign+c.What)
	}
	if len(out) == 0 {
		return " (another order)"
	}
	return " (" + strings.Join(out, " ") + ")"
}

// word is a value as the file has it.
func word(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		if x < 0 {
			return "never"
		}
		return brief(x)
	case string:
		if x == "" {
			return `""`
		}
		return x
	}
	if v.Kind() == reflect.String && v.String() == "" {
		return `""`
	}
	return fmt.Sprint(v.Interface())
}

// keyOf is a field's name as a key: ConnectTimeout is connect_timeout.
func keyOf(field string) string {
	var b strings.Builder
	rs := []rune(field)
	for i, r := range rs {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
