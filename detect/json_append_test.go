package detect

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// Whatever an event holds, the short way gives the bytes of the long one.
func TestAppendJSONIsMarshalJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	short, long := 0, 0
	for i := range 20_000 {
		var d Data
		fillRandom(random, reflect.ValueOf(&d).Elem(), float64(i%10)/10)
		if random.IntN(4) > 0 { // both are refused
			d.EndReason = ""
		}
		want, wantErr := json.Marshal(&d)
		got, err := d.AppendJSON([]byte("["))
		if (err != nil) != (wantErr != nil) || string(got) != "["+string(want) {
			t.Fatalf("run %d:\n got %s, %v\nwant [%s, %v", i, got, err, want, wantErr)
		}
		e := encoder{}
		if e.data(&d); e.odd {
			long++
		} else {
			short++
		}
	}
	if short < 2000 || long < 2000 {
		t.Errorf("%d took the short way and %d the long one", short, long)
	}
}

var texts = []string{"", "gate", "a b", "Straße", `"\`, "<&>", "\x00\xff", "\u2028"}
var floats = []float64{0, math.Copysign(0, -1), .5, 1, -1, .000004, .000005, .1234567, 1e-7, -3.14159265, 123456789.987654321, 1e14, 1e15, 1e21, math.Inf(1), math.NaN()}

// fillRandom fills a value with things that are easy and hard to write. absent is
// the share of pointers, slices and maps that stay empty.
func fillRandom(random *rand.Rand, v reflect.Value, absent float64) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.UnixMicro(random.Int64N(4e15)).In(time.FixedZone("x", 3600))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillRandom(random, v.Field(i), absent)
		}
	case reflect.Pointer:
		if random.Float64() >= absent {
			v.Set(reflect.New(v.Type().Elem()))
			fillRandom(random, v.Elem(), absent)
		}
	case reflect.Slice:
		if random.Float64() >= absent {
			v.Set(reflect.MakeSlice(v.Type(), random.IntN(4), 4))
			for i := range v.Len() {
				fillRandom(random, v.Index(i), absent)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fillRandom(random, v.Index(i), absent)
		}
	case reflect.Map:
		if random.Float64() >= absent {
			v.Set(reflect.MakeMap(v.Type()))
			for range random.IntN(3) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fillRandom(random, key, absent)
				fillRandom(random, value, absent)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.String:
		v.SetString(texts[random.IntN(len(texts))])
	case reflect.Int:
		v.SetInt(random.Int64N(2000) - 1000)
	case reflect.Uint64:
		v.SetUint(random.Uint64() >> random.IntN(64))
	case reflect.Float64:
		if v.SetFloat(random.Float64() * 2); random.IntN(20) == 0 {
			v.SetFloat(floats[random.IntN(len(floats)-random.IntN(6))])
		}
	default:
		panic(v.Type().String() + " has to be filled too")
	}
}

func TestAppendTimeIsFormat(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	for range 20_000 {
		at := time.Unix(random.Int64N(4e11)-1e11, random.Int64N(1e9)).In(time.FixedZone("x", -7200))
		if got, want := string(AppendTime(nil, at)), at.UTC().Format(TimeFormat); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	d := Data{Stream: StreamInfo{Site: "hq", Name: "gate", Epoch: "1767225600000000"}, Frame: &FrameInfo{Index: 7, PTSMs: 1234.5, Width: 640, Height: 480}}
	d.Object = &Object{TrackID: "1767225600000000-4", Class: "person", Score: .87654321, BBox: Rect{X: .123456, Y: .2, W: .1, H: .3}, State: "active"}
	for i := range 32 {
		d.Object.Path = append(d.Object.Path, [3]float64{float64(i * 200), float64(i) / 33.3, .51234567})
	}
	b.Run("append", func(b *testing.B) {
		var dst []byte
		for b.Loop() {
			dst, _ = d.AppendJSON(dst[:0])
		}
	})
	b.Run("marshal", func(b *testing.B) {
		for b.Loop() {
			json.Marshal(&d)
		}
	})
}
