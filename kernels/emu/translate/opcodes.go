package translate

// ctype is the C++ type of a PTX type.
var ctype = map[string]string{
	"pred": "bool",
	"u8":   "uint8_t", "s8": "int8_t", "b8": "uint8_t",
	"u16": "uint16_t", "s16": "int16_t", "b16": "uint16_t",
	"u32": "uint32_t", "s32": "int32_t", "b32": "uint32_t", "f32": "float",
	"u64": "uint64_t", "s64": "int64_t", "b64": "uint64_t",
}

// width is a type's size in bytes.
var width = map[string]int{
	"u8": 1, "s8": 1, "b8": 1, "u16": 2, "s16": 2, "b16": 2,
	"u32": 4, "s32": 4, "b32": 4, "f32": 4, "u64": 8, "s64": 8, "b64": 8,
}

// A rule says what an operation without memory or jumps does: an expression over its
// sources $1, $2, …, the types these are taken as, and the type of the result.
type rule struct {
	result string
	source []string
	expr   string
}

// rules is the table of operations that only compute. What is not in it, and not in
// the switch of translate.go, is refused. Float operations are there with .rn only:
// without it the assembler may fuse a product and a sum, which C++ would not.
var rules = makeRules()

func makeRules() map[string]rule {
	t := map[string]rule{}
	integers(t)
	bits(t)
	floats(t)
	comparisons(t)
	conversions(t)
	return t
}

func integers(t map[string]rule) {
	for _, n := range []string{"16", "32", "64"} {
		for _, sign := range []string{"s", "u"} {
			typ, u := sign+n, "u"+n // sums and products wrap, so they are made of unsigned numbers
			t["add."+typ] = rule{u, []string{u, u}, "$1 + $2"}
			t["sub."+typ] = rule{u, []string{u, u}, "$1 - $2"}
			t["mul.lo."+typ] = rule{u, []string{u, u}, "(uint64_t)$1 * $2"}
			t["mad.lo."+typ] = rule{u, []string{u, u, u}, "(uint64_t)$1 * $2 + $3"}
			t["div."+typ] = rule{typ, []string{typ, typ}, "quotient($1, $2)"}
			t["rem."+typ] = rule{typ, []string{typ, typ}, "remainder_of($1, $2)"}
			t["min."+typ] = rule{typ, []string{typ, typ}, "$1 < $2 ? $1 : $2"}
			t["max."+typ] = rule{typ, []string{typ, typ}, "$1 > $2 ? $1 : $2"}
			t["shr."+typ] = rule{typ, []string{typ, "u32"}, "shift_right($1, $2)"}
		}
		t["neg.s"+n] = rule{"u" + n, []string{"u" + n}, "0 - $1"}
		t["abs.s"+n] = rule{"u" + n, []string{"s" + n}, "$1 < 0 ? 0 - (uint64_t)$1 : $1"}
	}
	for from, to := range map[string]string{"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64"} {
		c := ctype[to]
		t["mul.wide."+from] = rule{to, []string{from, from}, "(" + c + ")$1 * (" + c + ")$2"}
		t["mad.wide."+from] = rule{"u" + to[1:], []string{from, from, "u" + to[1:]}, "(uint64_t)((" + c + ")$1 * (" + c + ")$2) + $3"}
	}
	t["mul.hi.s32"] = rule{"s32", []string{"s32", "s32"}, "(int64_t)$1 * $2 >> 32"}
	t["mul.hi.u32"] = rule{"u32", []string{"u32", "u32"}, "(uint64_t)$1 * $2 >> 32"}
	t["mul.hi.s64"] = rule{"s64", []string{"s64", "s64"}, "(__int128)$1 * $2 >> 64"}
	t["mul.hi.u64"] = rule{"u64", []string{"u64", "u64"}, "(unsigned __int128)$1 * $2 >> 64"}
}

func bits(t map[string]rule) {
	for _, typ := range []string{"b16", "b32", "b64"} {
		t["and."+typ] = rule{typ, []string{typ, typ}, "$1 & $2"}
		t["or."+typ] = rule{typ, []string{typ, typ}, "$1 | $2"}
		t["xor."+typ] = rule{typ, []string{typ, typ}, "$1 ^ $2"}
		t["not."+typ] = rule{typ, []string{typ}, "~$1"}
		t["shl."+typ] = rule{typ, []string{typ, "u32"}, "shift_left($1, $2)"}
		t["shr."+typ] = rule{typ, []string{typ, "u32"}, "shift_right($1, $2)"}
	}
	t["bfi.b32"] = rule{"b32", []string{"b32", "b32", "u32", "u32"}, "insert($1, $2, $3, $4)"}
	t["bfi.b64"] = rule{"b64", []string{"b64", "b64", "u32", "u32"}, "insert($1, $2, $3, $4)"}
	t["and.pred"] = rule{"pred", []string{"pred", "pred"}, "$1 & $2"}
	t["or.pred"] = rule{"pred", []string{"pred", "pred"}, "$1 | $2"}
	t["xor.pred"] = rule{"pred", []string{"pred", "pred"}, "$1 ^ $2"}
	t["not.pred"] = rule{"pred", []string{"pred"}, "!$1"}
	for typ := range ctype {
		t["mov."+typ] = rule{typ, []string{typ}, "$1"}
		if typ != "pred" {
			t["selp."+typ] = rule{typ, []string{typ, typ, "pred"}, "$3 ? $1 : $2"}
		}
	}
}

func floats(t map[string]rule) {
	one, two := []string{"f32"}, []string{"f32", "f32"}
	t["add.rn.f32"] = rule{"f32", two, "$1 + $2"}
	t["sub.rn.f32"] = rule{"f32", two, "$1 - $2"}
	t["mul.rn.f32"] = rule{"f32", two, "$1 * $2"}
	t["div.rn.f32"] = rule{"f32", two, "$1 / $2"}
	t["rcp.rn.f32"] = rule{"f32", one, "1.f / $1"}
	t["sqrt.rn.f32"] = rule{"f32", one, "__builtin_sqrtf($1)"}
	t["fma.rn.f32"] = rule{"f32", []string{"f32", "f32", "f32"}, "__builtin_fmaf($1, $2, $3)"}
	t["min.f32"] = rule{"f32", two, "least($1, $2)"}
	t["max.f32"] = rule{"f32", two, "most($1, $2)"}
	t["neg.f32"] = rule{"f32", one, "-$1"}
	t["abs.f32"] = rule{"f32", one, "__builtin_fabsf($1)"}
}

func comparisons(t map[string]rule) {
	signs := map[string]string{"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
	for name, sign := range signs {
		for typ := range width {
			if typ != "f32" {
				t["setp."+name+"."+typ] = rule{"pred", []string{typ, typ}, "$1 " + sign + " $2"}
			}
		}
		t["setp."+name+".f32"] = rule{"pred", []string{"f32", "f32"}, "$1 " + sign + " $2"} // false with a NaN
	}
	inverse := map[string]string{"ltu": ">=", "leu": ">", "gtu": "<=", "geu": "<"} // true with a NaN
	for name, sign := range inverse {
		t["setp."+name+".f32"] = rule{"pred", []string{"f32", "f32"}, "!($1 " + sign + " $2)"}
	}
	t["setp.ne.f32"] = rule{"pred", []string{"f32", "f32"}, "$1 < $2 || $1 > $2"}
	t["setp.equ.f32"] = rule{"pred", []string{"f32", "f32"}, "!($1 < $2 || $1 > $2)"}
	t["setp.neu.f32"] = rule{"pred", []string{"f32", "f32"}, "$1 != $2"}
	t["setp.nan.f32"] = rule{"pred", []string{"f32", "f32"}, "$1 != $1 || $2 != $2"}
	t["setp.num.f32"] = rule{"pred", []string{"f32", "f32"}, "$1 == $1 && $2 == $2"}
}

func conversions(t map[string]rule) {
	all := []string{"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"}
	for _, from := range all {
		for _, to := range all {
			if from != to {
				t["cvt."+to+"."+from] = rule{to, []string{from}, "$1"}
			}
		}
		t["cvt.rn.f32."+from] = rule{"f32", []string{from}, "(float)$1"}
		t["cvt.rzi."+from+".f32"] = rule{from, []string{"f32"}, "truncate<" + ctype[from] + ">($1)"}
	}
	t["cvt.rmi.f32.f32"] = rule{"f32", []string{"f32"}, "__builtin_floorf($1)"}
	t["cvt.rpi.f32.f32"] = rule{"f32", []string{"f32"}, "__builtin_ceilf($1)"}
	t["cvt.rzi.f32.f32"] = rule{"f32", []string{"f32"}, "__builtin_truncf($1)"}
	t["cvt.rni.f32.f32"] = rule{"f32", []string{"f32"}, "__builtin_nearbyintf($1)"}
	t["cvt.rn.f16.f32"] = rule{"b16", []string{"f32"}, "half($1)"}
	t["cvt.f32.f16"] = rule{"f32", []string{"b16"}, "from_half($1)"}
}
