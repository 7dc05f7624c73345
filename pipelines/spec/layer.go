package spec

import (
	"reflect"
	"slices"
	"strings"
)

// merge lays over onto base: maps merge key by key, everything else is replaced.
// With named set, the lists below `rules` and `sinks` merge by their items'
// names. Neither argument is changed; null in over stays, to say "removed".
func merge(base, over *node, named bool) *node {
	out := *over
	out.entries = slices.Clone(base.entries)
	index := make(map[string]int, len(out.entries)+len(over.entries))
	for i, e := range out.entries {
		index[e.key] = i
	}
	for _, e := range over.entries {
		i, known := index[e.key]
		if !known {
			index[e.key] = len(out.entries)
			out.entries = append(out.entries, e)
			continue
		}
		old := out.entries[i].value
		switch {
		case named && old.kind == mapNode && e.value.kind == mapNode:
			e.value = merge(old, e.value, true)
		case named && old.kind == listNode && e.value.kind == listNode && isNamedList(e.key):
			e.value = mergeNamed(e.key, old, e.value)
		}
		out.entries[i] = e
	}
	return &out
}

func isNamedList(key string) bool { return key == "rules" || key == "sinks" }

// itemName is what an item of rules or sinks is called; a sink's name defaults
// to its kind, if there is such a kind.
func itemName(list string, n *node) string {
	if name := n.word("name"); name != "" || list != "sinks" {
		return name
	}
	kind, _ := kindOf(reflect.TypeFor[Sink](), n)
	return kind
}

// mergeNamed lays list over onto base: items of the same name merge, others are
// added. Two items of one list never merge with each other.
func mergeNamed(key string, base, over *node) *node {
	out := *base
	out.items = slices.Clone(base.items)
	taken := make([]bool, len(base.items))
	for _, item := range over.items {
		name := itemName(key, item)
		i := slices.IndexFunc(base.items, func(b *node) bool { return name != "" && itemName(key, b) == name })
		if i < 0 || taken[i] || item.kind != mapNode {
			out.items = append(out.items, item)
			continue
		}
		taken[i] = true
		merged := merge(base.items[i], item, true)
		merged.at = base.items[i].at
		out.items[i] = merged
	}
	return &out
}

// override lays one -s KEY=VALUE onto root. nth counts overrides from 1.
func override(root *node, set string, nth int, env Env, r *report) *node {
	at := Origin{overrideFile, nth, 1}
	key, text, ok := strings.Cut(set, "=")
	path := strings.Split(key, ".")
	if !ok || slices.Contains(path, "") {
		r.add(at, "", "want KEY=VALUE, such as -s streams.gate.url=rtsp://10.0.0.3/main")
		return root
	}
	f := &file{name: overrideFile, dir: ".", env: env, report: r, anchors: map[string]*node{}}
	value := f.overrideValue(text, at)
	if value == nil {
		return root
	}
	if isNamedList(path[0]) && len(path) > 1 {
		return f.overrideItem(root, path, value, at)
	}
	for i := len(path) - 1; i > 0; i-- {
		value = &node{kind: mapNode, at: at, dir: f.dir, entries: []entry{{path[i], at, value}}}
	}
	return merge(root, &node{kind: mapNode, entries: []entry{{path[0], at, value}}}, true)
}

// overrideValue parses VALUE: YAML where it starts like a list, map or quoted
// text, else the text as it is.
func (f *file) overrideValue(text string, at Origin) *node {
	n := &node{at: at, dir: f.dir}
	if text == "" || text == "null" || text == "~" {
		return n
	}
	if !strings.ContainsAny(text[:1], `[{"'`) {
		f.scalar(n, text, true)
		return n
	}
	body, err := document([]byte(text))
	if err != nil {
		f.syntax([]byte(text), err)
		return nil
	}
	return f.node(body, "").moved(at)
}

// moved returns n with every place in it set to at.
func (n *node) moved(at Origin) *node {
	c := *n
	c.at = at
	c.items, c.entries = nil, nil
	for _, v := range n.items {
		c.items = append(c.items, v.moved(at))
	}
	for _, e := range n.entries {
		c.entries = append(c.entries, entry{e.key, at, e.value.moved(at)})
	}
	return &c
}

// overrideItem sets rules.NAME.KEY or sinks.NAME.KEY, or removes rules.NAME with
// a null.
func (f *file) overrideItem(root *node, path []string, value *node, at Origin) *node {
	list := root.get(path[0])
	if list == nil || list.kind != listNode {
		list = &node{kind: listNode, at: at}
	}
	var names []string
	for _, item := range list.items {
		names = append(names, itemName(path[0], item))
	}
	i := slices.Index(names, path[1])
	if i < 0 {
		f.report.suggest(at, strings.Join(path, "."), nearest(path[1], names), "%s has none of this name", path[0])
		return root
	}
	for k := len(path) - 1; k > 1; k-- {
		value = &node{kind: mapNode, at: at, dir: f.dir, entries: []entry{{path[k], at, value}}}
	}
	out := *list
	out.items = slices.Clone(list.items)
	switch {
	case value.kind == nullNode && len(path) == 2:
		out.items = slices.Delete(out.items, i, i+1)
	case value.kind == mapNode:
		at := out.items[i].at
		out.items[i] = merge(out.items[i], value, true)
		out.items[i].at = at
	default:
		out.items[i] = value
	}
	return root.with(path[0], &out)
}
