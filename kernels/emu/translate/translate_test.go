package translate

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const head = ".version 7.8\n.target sm_75\n.address_size 64\n"

// wrap puts instructions into a kernel; the first of them is in line 10.
func wrap(body string) string {
	return head + ".shared .align 4 .b8 tile[64];\n.visible .entry k(.param .u64 a, .param .u64 b)\n{\n" +
		".reg .pred %p<4>; .reg .b16 %rs<4>; .reg .b32 %r<4>;\n.reg .f32 %f<4>; .reg .b64 %rd<4>;\n\n" + body + "\n}\n"
}

func TestOperations(t *testing.T) {
	for ptx, want := range map[string]string{
		"add.s32 %r1, %r2, -1;":                 "set(r1, (uint32_t)(get<uint32_t>(r2) + get<uint32_t>(18446744073709551615ULL)));",
		"@!%p1 bra $L_1; $L_1:":                 "if (!p1) { goto L_L_1; }",
		"$L_1: ret;":                            "L_L_1:;",
		"fma.rn.f32 %f1, %f2, %f3, 0f3F000000;": "set(f1, (float)(__builtin_fmaf(get<float>(f2), get<float>(f3), number(0x3f000000u))));",
		"setp.ltu.f32 %p1, %f1, %f2;":           "set(p1, (bool)(!(get<float>(f1) >= get<float>(f2))));",
		"setp.ne.f32 %p1, %f1, %f2;":            "set(p1, (bool)(get<float>(f1) < get<float>(f2) || get<float>(f1) > get<float>(f2)));",
		"mov.u32 %r1, %ctaid.z;":                "set(r1, (uint32_t)(get<uint32_t>(t->block.z)));",
		"mov.u64 %rd1, tile;":                   "set(rd1, (uint64_t)(get<uint64_t>((uint64_t)0)));",
		"ld.param.u64 %rd1, [b];":               "{ uint64_t at = (uint64_t)args + 8; set(rd1, peek<uint64_t>(at + 0)); }",
		"ld.param.v2.u32 {%r1, %r2}, [a];":      "{ uint64_t at = (uint64_t)args + 0; set(r1, peek<uint32_t>(at + 0)); set(r2, peek<uint32_t>(at + 4)); }",
		"ld.global.nc.f32 %f1, [%rd1+-4];":      "{ uint64_t at = get<uint64_t>(rd1) + (-4); watch(t, at, 4, EMU_READ); set(f1, peek<float>(at + 0)); }",
		"st.shared.u8 [tile+3], %rs1;":          "{ uint64_t at = in_shared(t, get<uint64_t>((uint64_t)0) + (3)); watch(t, at, 1, EMU_WRITE); poke<uint8_t>(at + 0, get<uint8_t>(rs1)); }",
		"atom.shared.add.u32 %r1, [%rd1], 1;":   "set(r1, atom_add<uint32_t>(t, in_shared(t, get<uint64_t>(rd1) + (0)), get<uint32_t>(1ULL)));",
		"bar.sync 0;":                           "t->barrier(t, 10);",
		"{ cvt.rn.f16.f32 %rs1, %f1; }":         "set(rs1, (uint16_t)(half(get<float>(f1))));",
		"mov.b64 %rd1, {%r1, %r2};":             "set(rd1, (uint64_t)(get<uint32_t>(r1) | (uint64_t)get<uint32_t>(r2) << 32));",
		"mov.b32 {%rs1, %rs2}, %r1;":            "{ uint32_t both = get<uint32_t>(r1); set(rs1, (uint16_t)both); set(rs2, (uint16_t)(both >> 16)); }",
	} {
		code, err := Translate(wrap(ptx))
		if err != nil || !strings.Contains(code, "  "+want+"\n") {
			t.Errorf("%s\n got %s (%v)\nwant %s", ptx, code, err, want)
		}
	}
}

// What is not known is refused, and the line named.
func TestRefusals(t *testing.T) {
	for ptx, want := range map[string]string{
		wrap("\nshfl.sync.bfly.b32 %r1, %r2, 1, 31, -1;"):   "line 11: shfl",
		wrap("add.f32 %f1, %f2, %f3;"):                      "line 10: .*--fmad=false",
		wrap("add.s32 %r1, %r2;"):                           "line 10: .*not known",
		wrap("add.s32 %r1, %r2, %laneid;"):                  "line 10: .*%laneid",
		wrap("add.rn.f32 %f1, %f2, 1;"):                     "line 10: .*no f32",
		wrap("bar.sync 1;"):                                 "line 10: .*not known",
		wrap("ld.global.f64 %rd1, [%rd2];"):                 "line 10: .*not known",
		wrap("ld.u32 %r1, [%rd2];"):                         "line 10: .*not known",
		wrap("ld.param.u64 %rd1, [c];"):                     "line 10: .*no parameter",
		wrap("st.param.u64 [a], %rd1;"):                     "line 10: .*not known",
		wrap("red.global.add.u32 [%rd1], 1;"):               "line 10: red",
		wrap(".local .b8 depot[8];"):                        "line 10: .*not known",
		head + ".visible .entry k(.param .u32 a)\n{ ret; }": "line 4: .*8 bytes",
		head + ".func f()\n{ ret; }":                        "line 4: ",
		head + ".visible .entry k()\n{ ret;":                "line 5: .*no end",
		head + ".visible .entry k()\n{ ret }":               "line 5: .*no end",
		head + ".shared .align 4 .b8 tile[99999];":          "line 4: tile",
		head + "/* a\ncomment */ .const .u32 x;":            "line 5: ",
		head:                                                "no kernel",
	} {
		_, err := Translate(ptx)
		if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("%q: %v, want %s", ptx, err, want)
		}
	}
}

// TestShips translates the PTX that ships, and places no two variables upon another.
func TestShips(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "ptx", "vision.ptx"))
	if err != nil {
		t.Fatal(err)
	}
	code, err := Translate(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, kernel := range regexp.MustCompile(`\.entry (\w+)\(`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(code, `{"`+kernel[1]+`", k_`+kernel[1]+`, `) {
			t.Errorf("the table lacks %s", kernel[1])
		}
	}
}

func TestPlaces(t *testing.T) {
	code, err := Translate(head + ".shared .align 8 .b8 a[9];\n.shared .u32 b;\n.shared .b8 unused[100];\n" +
		".visible .entry k()\n{ .reg .b64 %rd<2>; .shared .align 16 .b8 c[1];\nmov.u64 %rd0, a; mov.u64 %rd0, b; mov.u64 %rd1, c; ret; }")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rd0, (uint64_t)(get<uint64_t>((uint64_t)0)", "rd0, (uint64_t)(get<uint64_t>((uint64_t)12)", "rd1, (uint64_t)(get<uint64_t>((uint64_t)16)", `{"k", k_k, 0, 17}`} {
		if !strings.Contains(code, want) {
			t.Errorf("no %q in %s", want, code)
		}
	}
}

// FuzzTranslate finds no text that is worse than refused.
func FuzzTranslate(f *testing.F) {
	for _, seed := range []string{
		wrap("ld.global.v2.f32 {%f1, %f2}, [%rd1+8]; @%p1 bra $L; $L: ret;"),
		wrap("st.shared.u8 [tile+3], %rs1; atom.global.add.u32 %r1, [%rd1], 1;"),
		head + ".visible .entry k(", ".shared .b8 x[1];", "@", "{}:;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if code, err := Translate(text); err == nil && !strings.Contains(code, "emu_kernels") {
			t.Error("neither code nor an error")
		}
	})
}
