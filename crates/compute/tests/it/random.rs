//! A small generator of numbers, the same on every machine for the same seed, and what the cases are made of.

/// Numbers with decimals in every spelling, and what only looks like one.
const FLOATS: &str = "0.1 0.2 -0 -0.0 +0.5 .5 5. . 1e 1e+ 1e5 1E-5 +1e+5 1e17 1e18 1e-17 1e-18 5e-18 15e-18 \
    25e-18 1e-4940 1e-4951 1e-4960 1e4932 -1e4932 1.18973149535723176502e4932 1.2e4932 1e5000 \
    1e-5000 1e99999999999999999999 1e-99999999999999999999 0e99999999999999999999 inf -inf \
    +INF Infinity -iNFINITY infi nan -nan NAN nan(1) 0x1p3 0X1.8P-1 0x 0x.8 0x1p 0x1. \
    -0x1p-70 0xffffffffffffffffff 0x1p16383 0x1p16384 0x1p-16445 0x1p-16446 1,5 1f";

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.below(most + 1);
        (0..len)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }

    /// Bytes of a few letters, so that two values have much in common.
    pub(crate) fn letters(&mut self, most: usize) -> Vec<u8> {
        let kinds = 1 + self.below(4);
        let len = self.below(most + 1);
        (0..len).map(|_| b"abc\0"[self.below(kinds)]).collect()
    }

    /// An integer: small, random, or at the borders of 64 bits.
    pub(crate) fn number(&mut self) -> i64 {
        let small = i64::try_from(self.below(41)).unwrap() - 20;
        match self.below(5) {
            0 => i64::MAX.wrapping_add(small),
            1 => i64::MIN.wrapping_add(small),
            2 => i64::from_ne_bytes(self.next().to_ne_bytes()) >> self.below(63),
            _ => small,
        }
    }

    /// Text that is an integer, or nearly one.
    pub(crate) fn integer(&mut self) -> Vec<u8> {
        const ODD: [&str; 26] = [
            "",
            "-",
            "+",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1\n",
            "1.0",
            "1e3",
            "0x10",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "99999999999999999999999",
            "1\0",
            "\0",
            "abc",
            "1_000",
            "\u{ff11}",
            "-",
        ];
        if self.once_in(6) {
            return self.pick(&ODD).into();
        }
        self.number().to_string().into_bytes()
    }

    /// Text that is a number with decimals, or nearly one.
    pub(crate) fn float(&mut self) -> Vec<u8> {
        let odd: Vec<&str> = FLOATS.split(' ').collect();
        match self.below(10) {
            0..3 => self.pick(&odd).into(),
            3 => self.integer(),
            4 => {
                let mut text = self.pick(&odd).as_bytes().to_vec();
                let at = self.below(text.len() + 1);
                text.insert(at, self.pick(b" 0.-+ex\0\t"));
                text
            }
            5 => self.long_number(),
            _ => {
                let number = self.number() >> self.below(60);
                let decimals = self.next() >> (1 + self.below(60));
                let exponent = i64::try_from(self.below(40)).unwrap() - 20;
                match self.below(3) {
                    0 => format!("{number}.{decimals}e{exponent}"),
                    _ => format!("{number}.{decimals}"),
                }
                .into_bytes()
            }
        }
    }

    /// More digits than any number of 80 bits has, around the most that a server reads.
    fn long_number(&mut self) -> Vec<u8> {
        let len = self.pick(&[
            20, 25, 40, 300, 4_931, 4_932, 4_933, 5_118, 5_119, 5_120, 5_121,
        ]);
        let mut text: Vec<u8> = (0..len).map(|_| self.pick(b"0123456789")).collect();
        if self.once_in(2) {
            let at = self.below(len);
            text[at] = b'.';
        }
        text
    }

    /// A value of a record.
    pub(crate) fn value(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => Vec::new(),
            1..4 => self.integer(),
            4 | 5 => self.float(),
            6 => self.letters(30),
            _ => self.bytes(40),
        }
    }

    /// A keyword in any case, rarely with bytes behind a NUL, which servers do not see.
    pub(crate) fn keyword(&mut self, word: &str) -> Vec<u8> {
        let mut text: Vec<u8> = word
            .bytes()
            .map(|byte| match self.once_in(2) {
                true => byte.to_ascii_lowercase(),
                false => byte.to_ascii_uppercase(),
            })
            .collect();
        if self.once_in(40) {
            text.extend_from_slice(b"\0x");
        }
        text
    }
}
