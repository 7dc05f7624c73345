package translate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// address splits [base+offset] into a C++ expression. Addresses in shared memory count
// from the block's begin; those of the global and of no named space are the host's own.
func (w *writer) address(operand, space string) (string, error) {
	inner, open := strings.CutPrefix(operand, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !open || !closed {
		return "", fmt.Errorf("operand %q is no address", operand)
	}
	base, offset, plus := strings.Cut(inner, "+")
	n := int64(0)
	if plus {
		var err error
		if n, err = strconv.ParseInt(offset, 0, 32); err != nil {
			return "", fmt.Errorf("offset %q is not known here", offset)
		}
	}
	if space == "param" {
		at := slices.Index(w.kernel.params, base)
		if at < 0 || n < 0 || n > 7 {
			return "", fmt.Errorf("there is no parameter at %q", operand)
		}
		return fmt.Sprintf("(uint64_t)args + %d", int64(8*at)+n), nil
	}
	value, err := w.value(base, "u64")
	if err != nil {
		return "", err
	}
	at := fmt.Sprintf("%s + (%d)", value, n)
	if space == "shared" {
		at = "in_shared(t, " + at + ")"
	}
	return at, nil
}

// form splits the name of a load or store: ld.global.nc.v2.f32 is in space global, 2
// wide, of type f32.
func form(parts []string) (space, typ string, lanes int, err error) {
	rest := parts[1:]
	take := func(words ...string) string {
		if len(rest) > 1 && slices.Contains(words, rest[0]) {
			word := rest[0]
			rest = rest[1:]
			return word
		}
		return ""
	}
	space = take("global", "shared", "param")
	if space == "global" {
		take("nc")
	}
	lanes = map[string]int{"": 1, "v2": 2, "v4": 4}[take("v2", "v4")]
	if len(rest) != 1 || space == "" || width[rest[0]] == 0 {
		return "", "", 0, fmt.Errorf("this form is not known here: add it to memory.go")
	}
	return space, rest[0], lanes, nil
}

// vector splits {a, b} into its operands; one alone is a vector of one.
func vector(operand string, lanes int) ([]string, error) {
	all := []string{operand}
	if inner, ok := strings.CutPrefix(operand, "{"); ok {
		all = operands(strings.TrimSuffix(inner, "}"))
	}
	if len(all) != lanes {
		return nil, fmt.Errorf("%q should be %d operands", operand, lanes)
	}
	return all, nil
}

func (w *writer) load(i instruction, parts []string) (string, error) {
	space, typ, lanes, err := form(parts)
	if err != nil {
		return "", err
	}
	from, err := w.address(i.args[1], space)
	if err != nil {
		return "", err
	}
	all, err := vector(i.args[0], lanes)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{ uint64_t at = %s;", from)
	if space != "param" {
		fmt.Fprintf(&b, " watch(t, at, %d, EMU_READ);", lanes*width[typ])
	}
	for n, operand := range all {
		to, err := register1(operand)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " set(%s, peek<%s>(at + %d));", to, ctype[typ], n*width[typ])
	}
	return b.String() + " }", nil
}

func (w *writer) store(i instruction, parts []string) (string, error) {
	space, typ, lanes, err := form(parts)
	if err != nil {
		return "", err
	}
	to, err := w.address(i.args[0], space)
	if err != nil || space == "param" {
		return "", fmt.Errorf("this form is not known here: %w", err)
	}
	all, err := vector(i.args[1], lanes)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{ uint64_t at = %s; watch(t, at, %d, EMU_WRITE);", to, lanes*width[typ])
	for n, operand := range all {
		from, err := w.value(operand, typ)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " poke<%s>(at + %d, %s);", ctype[typ], n*width[typ], from)
	}
	return b.String() + " }", nil
}

// atomic knows addition, in the global and shared space.
func (w *writer) atomic(i instruction, parts []string) (string, error) {
	if len(parts) != 4 || parts[2] != "add" || parts[3] != "u32" || (parts[1] != "global" && parts[1] != "shared") {
		return "", fmt.Errorf("this form is not known here: add it to memory.go")
	}
	at, err := w.address(i.args[1], parts[1])
	if err != nil {
		return "", err
	}
	to, err := register1(i.args[0])
	if err != nil {
		return "", err
	}
	value, err := w.value(i.args[2], "u32")
	return fmt.Sprintf("set(%s, atom_add<uint32_t>(t, %s, %s));", to, at, value), err
}

// convertAddress goes between a space's addresses and those without one.
func (w *writer) convertAddress(i instruction) (string, error) {
	to, err := register1(i.args[0])
	if err != nil {
		return "", err
	}
	from, err := w.value(i.args[1], "u64")
	switch i.op {
	case "cvta.to.global.u64", "cvta.global.u64":
		return fmt.Sprintf("set(%s, %s);", to, from), err
	}
	return "", fmt.Errorf("this form is not known here: add it to memory.go")
}

// pack puts registers together into one, or takes one apart.
func (w *writer) pack(i instruction) (string, error) {
	whole, half := i.op[4:], map[string]string{"mov.b32": "b16", "mov.b64": "b32"}[i.op]
	bits := 8 * width[half]
	if strings.HasPrefix(i.args[1], "{") {
		parts, err := vector(i.args[1], 2)
		if err != nil {
			return "", err
		}
		to, err := register1(i.args[0])
		if err != nil {
			return "", err
		}
		low, err := w.value(parts[0], half)
		if err != nil {
			return "", err
		}
		high, err := w.value(parts[1], half)
		return fmt.Sprintf("set(%s, (%s)(%s | (%s)%s << %d));", to, ctype[whole], low, ctype[whole], high, bits), err
	}
	parts, err := vector(i.args[0], 2)
	if err != nil {
		return "", err
	}
	low, err := register1(parts[0])
	if err != nil {
		return "", err
	}
	high, err := register1(parts[1])
	if err != nil {
		return "", err
	}
	from, err := w.value(i.args[1], whole)
	return fmt.Sprintf("{ %s both = %s; set(%s, (%s)both); set(%s, (%s)(both >> %d)); }", ctype[whole], from, low, ctype[half], high, ctype[half], bits), err
}
