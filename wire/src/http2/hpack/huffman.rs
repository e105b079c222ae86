//! The Huffman code of strings (RFC 7541 appendix B). It is canonical: the lengths of its codes say all of it.

/// Bits of the code of each byte, and of the end of the string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, //
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, //
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, //
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, //
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
/// The end of the string, which no string may contain.
const END: usize = 256;
const LONGEST: usize = 30;
/// Codes of up to so many bits are found at once.
const SHORT: usize = 8;

/// A symbol and the bits of its code; 0 bits: its code is not a short one.
#[derive(Clone, Copy)]
struct Symbol {
    is: u16,
    bits: u8,
}

/// The codes of one length, in their order. Codes are aligned to the left of 32 bits here.
#[derive(Clone, Copy)]
struct Codes {
    first: u32,
    /// Behind the last one.
    end: u64,
    /// Where their symbols begin.
    symbols: usize,
}

struct Code {
    short: [Symbol; 1 << SHORT],
    by_length: [Codes; LONGEST + 1],
    symbols: [u16; 257],
}

static CODE: Code = code();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn code() -> Code {
    let mut code = Code {
        short: [Symbol { is: 0, bits: 0 }; 1 << SHORT],
        by_length: [Codes { first: 0, end: 0, symbols: 0 }; LONGEST + 1],
        symbols: [0; 257],
    };
    let (mut next, mut count, mut length) = (0_u64, 0, 1);
    while length <= LONGEST {
        code.by_length[length].first = next as u32;
        code.by_length[length].symbols = count;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.symbols[count] = symbol as u16;
                count += 1;
                let after = next + (1 << (32 - length));
                let mut short = next >> (32 - SHORT);
                while length <= SHORT && short < after >> (32 - SHORT) {
                    code.short[short as usize] = Symbol { is: symbol as u16, bits: length as u8 };
                    short += 1;
                }
                next = after;
            }
            symbol += 1;
        }
        code.by_length[length].end = next;
        length += 1;
    }
    code
}

/// The symbol whose code `window` begins with.
fn symbol(window: u32) -> Option<Symbol> {
    let short = CODE.short.get(window as usize >> (32 - SHORT)).filter(|short| short.bits > 0);
    short.copied().or_else(|| {
        let longer = CODE.by_length.iter().enumerate().skip(SHORT + 1);
        let (length, codes) = longer.into_iter().find(|(_, codes)| u64::from(window) < codes.end)?;
        let at = codes.symbols + ((window - codes.first) as usize >> (32 - length));
        Some(Symbol { is: *CODE.symbols.get(at)?, bits: length as u8 })
    })
}

/// Appends to `out` what `input` stands for. `None`: it is no string in this code.
pub(super) fn decode(mut input: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // Aligned to the left.
    let (mut bits, mut have) = (0_u64, 0_u32);
    loop {
        // As many bits as the longest code has, at least, unless the input ends.
        if have < 32 {
            if let Some((four, rest)) = input.split_first_chunk() {
                bits |= u64::from(u32::from_be_bytes(*four)) << (32 - have);
                have += 32;
                input = rest;
            } else if let Some((byte, rest)) = input.split_first() {
                bits |= u64::from(*byte) << (56 - have);
                have += 8;
                input = rest;
                continue;
            }
        }
        let symbol = symbol((bits >> 32) as u32)?;
        if u32::from(symbol.bits) > have {
            break;
        }
        if usize::from(symbol.is) == END {
            return None;
        }
        out.push(symbol.is as u8);
        bits <<= symbol.bits;
        have -= u32::from(symbol.bits);
    }
    // Padding is the beginning of the end's code, all ones, and shorter than a byte (section 5.2).
    (have < 8 && bits.leading_ones() >= have).then_some(())
}

/// The code of `byte`, and its bits.
#[cfg(test)]
pub(super) fn code_of(byte: u8) -> (u32, u32) {
    let bits = u32::from(LENGTHS[usize::from(byte)]);
    let codes = &CODE.by_length[bits as usize];
    let at = CODE.symbols[codes.symbols..].iter().position(|symbol| *symbol == u16::from(byte)).unwrap();
    ((codes.first >> (32 - bits)) + at as u32, bits)
}
