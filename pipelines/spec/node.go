package spec

// node is a value of a YAML file with the place it was written at. Nodes are
// shared between layers and never changed once built.
type node struct {
	kind nodeKind
	at   Origin // of a map or list below a key: of the key
	dir  string // folder of the file: relative paths start there

	text  string // scalar, variables substituted
	raw   string // the same as written, to be shown in messages
	plain bool   // scalar without quotes
	parts []part // scalar that a file is part of: what text was joined from

	items   []*node // list
	entries []entry // map, in the order of the file

	inherited bool   // came from defaults: ignored where it does not apply
	problem   string // broken: what is wrong with it
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	scalarNode
	listNode
	mapNode
	brokenNode
)

type entry struct {
	key   string
	at    Origin
	value *node
}

// get returns the value of a key, nil when it is absent or null.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.entries {
		if e := &n.entries[i]; e.key == key && e.value.kind != nullNode {
			return e.value
		}
	}
	return nil
}

// word returns the text of a scalar below key, "" when there is none.
func (n *node) word(key string) string {
	if v := n.get(key); v != nil && v.kind == scalarNode {
		return v.text
	}
	return ""
}

// with returns a copy of map n that has key set to value.
func (n *node) with(key string, value *node) *node {
	c := *n
	c.kind = mapNode
	c.entries = make([]entry, 0, len(n.entries)+1)
	at := value.at
	for _, e := range n.entries {
		if e.key == key {
			continue
		}
		c.entries = append(c.entries, e)
	}
	c.entries = append(c.entries, entry{key, at, value})
	return &c
}

// only returns a copy of map n with just these keys.
func (n *node) only(keys ...string) *node {
	c := &node{kind: mapNode}
	if n == nil {
		return c
	}
	c.at, c.dir = n.at, n.dir
	for _, k := range keys {
		for _, e := range n.entries {
			if e.key == k {
				c.entries = append(c.entries, e)
			}
		}
	}
	return c
}

// inherit returns a deep copy of n marked as coming from defaults.
func (n *node) inherit() *node {
	if n == nil {
		return nil
	}
	c := *n
	c.inherited = true
	c.items = make([]*node, len(n.items))
	for i, v := range n.items {
		c.items[i] = v.inherit()
	}
	c.entries = make([]entry, len(n.entries))
	for i, e := range n.entries {
		c.entries[i] = entry{e.key, e.at, e.value.inherit()}
	}
	return &c
}

// defaultNode is a scalar nobody wrote.
func defaultNode(text string) *node {
	return &node{kind: scalarNode, text: text, raw: text, plain: true}
}
