//go:build cuda && !soak

package pipelines

import "time"

const soakCUDA = 10 * time.Second
