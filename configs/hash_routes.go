package configs

import (
	"reflect"

	"github.com/tandem-lb/tandem/proxy"
)

// hashRoutes writes what is not as it is by default, so that a key that is added later changes nothing where it is not used.
func hashRoutes(write func(string, ...any), l *proxy.ListenerConfig) {
	if l.MaxBody != 0 {
		write("max body %d", l.MaxBody)
	}
	if l.RequestID != "" {
		write("request id %q", l.RequestID)
	}
	if l.LenientPaths {
		write("lenient paths")
	}
	for i := range l.Routes {
		hashFields(write, "route", reflect.ValueOf(l.Routes[i]))
	}
	for _, p := range l.ErrorPages {
		write("error page %v %q", p.Statuses, p.File)
	}
}

func hashFields(write func(string, ...any), name string, v reflect.Value) {
	switch {
	case v.IsZero():
	case v.Kind() == reflect.Pointer:
		hashFields(write, name, v.Elem())
	case v.Kind() == reflect.Struct && v.NumField() > 0 && v.Type().Field(0).IsExported():
		for i := range v.NumField() {
			hashFields(write, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			write("%s %+v", name, v.Index(i))
		}
	default:
		write("%s %#v", name, v)
	}
}
