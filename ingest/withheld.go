package ingest

import "context"

// withheldKey finds in a context who listens to Withheld.
type withheldKey struct{}

// OnWithheld returns a context for Source.Run whose source tells by f of pictures
// that it keeps back because no keyframe has come yet. f does not block.
func OnWithheld(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, withheldKey{}, f)
}

// Withheld is called by a source, with the context of its Run and outside emit,
// while pictures come and it has emitted none, as decoding could not start with
// any: at least once a second while that lasts.
func Withheld(ctx context.Context) {
	if f, ok := ctx.Value(withheldKey{}).(func()); ok {
		f()
	}
}
