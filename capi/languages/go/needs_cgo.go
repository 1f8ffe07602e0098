//go:build !cgo

package paytoken

// Without cgo (no C compiler, or another system's program) this line is what the compiler tells.
var _ = this_package_needs_cgo_set_CGO_ENABLED_to_1_and_install_a_C_compiler
