package kernel

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang -strip llvm-strip -target amd64,arm64 -type header -type file_record -type socket_record -type stdio_record -type child_record -type record_kind -type event_flag -type file_flag -type exe_flag -type call -type settings -type counters -type deny_key -type deny_kind -type prefix_key -type suffix_key -type kind -type place -type call_flag -type path_use -go-package kernel sensor bpf/sensor.bpf.c -- -O2 -Wall -I/usr/include/x86_64-linux-gnu
