// Package translate turns the PTX of our kernels into C++, so that tests run what
// ships without a GPU. It knows what the compiler makes of vision.cu and refuses
// everything else, saying where.
package translate

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
)

// Translate returns a C++ file for driver/ptx.h that defines the kernels of a PTX text
// and their table (driver/kernel.h). An error names the line.
func Translate(text string) (string, error) {
	m, err := parse(text)
	if err != nil {
		return "", err
	}
	if len(m.kernels) == 0 {
		return "", fmt.Errorf("the text has no kernel")
	}
	hash := fnv.New64a()
	hash.Write([]byte(text))
	var b strings.Builder
	b.WriteString("#include \"ptx.h\"\n")
	var table strings.Builder
	for _, k := range m.kernels {
		w := writer{kernel: k, shared: map[string]int{}, out: &b}
		if err := w.write(m); err != nil {
			return "", err
		}
		fmt.Fprintf(&table, "  {%q, k_%s, %d, %d},\n", k.name, k.name, len(k.params), w.bytes)
	}
	fmt.Fprintf(&b, "\nextern \"C\" const uint64_t emu_source = %dULL;\n", hash.Sum64())
	fmt.Fprintf(&b, "extern \"C\" const emu_kernel emu_kernels[] = {\n%s  {nullptr, nullptr, 0, 0}};\n", table.String())
	return b.String(), nil
}

// writer writes one kernel.
type writer struct {
	kernel *kernel
	shared map[string]int // where each variable lies
	bytes  int            // of shared memory in all
	out    *strings.Builder
}

func (w *writer) write(m *module) error {
	w.place(m.shared)
	w.place(w.kernel.shared)
	fmt.Fprintf(w.out, "\nstatic void k_%s(emu_thread* t, const uint64_t* args) {\n", w.kernel.name)
	for _, r := range w.kernel.registers {
		for i := range r.count {
			fmt.Fprintf(w.out, "  %s %s%d = 0;\n", ctype[r.typ], r.prefix, i)
		}
	}
	for _, i := range w.kernel.body {
		line, err := w.instruction(i)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", i.line, strings.TrimSpace(i.op+" "+strings.Join(i.args, ", ")), err)
		}
		w.out.WriteString("  " + line + "\n")
	}
	w.out.WriteString("}\n")
	return nil
}

// place gives those variables room that the kernel names.
func (w *writer) place(all []variable) {
	for _, v := range all {
		if !w.names(v.name) {
			continue
		}
		w.bytes = (w.bytes + v.align - 1) / v.align * v.align
		w.shared[v.name] = w.bytes
		w.bytes += v.size
	}
}

func (w *writer) names(variable string) bool {
	for _, i := range w.kernel.body {
		for _, a := range i.args {
			if a == variable || strings.HasPrefix(a, "["+variable+"+") || a == "["+variable+"]" {
				return true
			}
		}
	}
	return false
}

func (w *writer) instruction(i instruction) (string, error) {
	if i.label != "" {
		return label(i.label) + ":;", nil
	}
	s, err := w.operation(i)
	if err != nil || i.guard == "" {
		return s, err
	}
	p, err := register1(i.guard)
	if i.not {
		p = "!" + p
	}
	return "if (" + p + ") { " + s + " }", err
}

// operation writes what an instruction does where its guard holds.
func (w *writer) operation(i instruction) (string, error) {
	if r, ok := rules[i.op]; ok && len(i.args) == len(r.source)+1 && !strings.HasPrefix(i.args[0], "{") && !strings.HasPrefix(i.args[1], "{") {
		return w.compute(i, r)
	}
	parts := strings.Split(i.op, ".")
	switch {
	case (i.op == "bra" || i.op == "bra.uni") && len(i.args) == 1:
		return "goto " + label(i.args[0]) + ";", nil
	case (i.op == "ret" || i.op == "exit") && len(i.args) == 0:
		return "return;", nil
	case i.op == "bar.sync" && len(i.args) == 1 && i.args[0] == "0":
		return fmt.Sprintf("t->barrier(t, %d);", i.line), nil
	case strings.HasPrefix(i.op, "cvta.") && len(i.args) == 2:
		return w.convertAddress(i)
	case parts[0] == "ld" && len(i.args) == 2:
		return w.load(i, parts)
	case parts[0] == "st" && len(i.args) == 2:
		return w.store(i, parts)
	case parts[0] == "atom" && len(i.args) == 3:
		return w.atomic(i, parts)
	case (i.op == "mov.b32" || i.op == "mov.b64") && len(i.args) == 2:
		return w.pack(i)
	}
	if _, ok := rules[strings.Replace(i.op, ".", ".rn.", 1)]; ok && strings.HasSuffix(i.op, ".f32") {
		return "", fmt.Errorf("may be fused with its neighbors: compile with --fmad=false")
	}
	return "", fmt.Errorf("this form is not known here: add it to the table in opcodes.go")
}

func (w *writer) compute(i instruction, r rule) (string, error) {
	to, err := register1(i.args[0])
	if err != nil {
		return "", err
	}
	expr := r.expr
	for n, typ := range r.source {
		from, err := w.value(i.args[n+1], typ)
		if err != nil {
			return "", err
		}
		expr = strings.ReplaceAll(expr, "$"+strconv.Itoa(n+1), from)
	}
	return fmt.Sprintf("set(%s, (%s)(%s));", to, ctype[r.result], expr), nil
}

// special are registers that tell a thread's place.
var special = map[string]string{"%tid": "t->thread", "%ctaid": "t->block", "%ntid": "t->threads", "%nctaid": "t->blocks"}

// value is an operand as a C++ expression of a type.
func (w *writer) value(operand, typ string) (string, error) {
	if base, axis, ok := strings.Cut(operand, "."); ok && special[base] != "" && (axis == "x" || axis == "y" || axis == "z") {
		return fmt.Sprintf("get<%s>(%s.%s)", ctype[typ], special[base], axis), nil
	}
	if bits, ok := strings.CutPrefix(operand, "0f"); ok {
		n, err := strconv.ParseUint(bits, 16, 32)
		if err != nil || typ != "f32" && typ != "b32" {
			return "", fmt.Errorf("%s is no %s", operand, typ)
		}
		if typ == "b32" {
			return fmt.Sprintf("(uint32_t)0x%08xu", n), nil
		}
		return fmt.Sprintf("number(0x%08xu)", n), nil
	}
	if at, ok := w.shared[operand]; ok {
		return fmt.Sprintf("get<%s>((uint64_t)%d)", ctype[typ], at), nil
	}
	if n, ok := integer(operand); ok {
		if typ == "f32" {
			return "", fmt.Errorf("%s is no f32", operand)
		}
		return fmt.Sprintf("get<%s>(%dULL)", ctype[typ], n), nil
	}
	r, err := register1(operand)
	return fmt.Sprintf("get<%s>(%s)", ctype[typ], r), err
}

// integer reads an immediate; negative ones are their complement.
func integer(s string) (uint64, bool) {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n), true
	}
	n, err := strconv.ParseUint(s, 0, 64)
	return n, err == nil
}

// register1 is the C++ variable of one register.
func register1(operand string) (string, error) {
	name, ok := strings.CutPrefix(operand, "%")
	digits := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz")
	if n, err := strconv.Atoi(digits); !ok || err != nil || n < 0 || n > math.MaxUint16 || len(digits) == len(name) || strconv.Itoa(n) != digits {
		return "", fmt.Errorf("operand %q is not known here", operand)
	}
	return name, nil
}

// label is a jump's target as C++ names it.
func label(name string) string { return "L" + strings.NewReplacer("$", "_").Replace(name) }
