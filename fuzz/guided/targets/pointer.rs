#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| paytoken_fuzz_guided::hold("pointer", input));
