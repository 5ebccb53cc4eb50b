//go:build tools

// Package tools names what this module is for: go.mod and go.sum pin Thanos' versions.
package tools

import _ "github.com/thanos-io/thanos/cmd/thanos"
