import OMSCore

/// Besides libFuzzer's changes of bytes: changes of JSON. A value becomes another of its kind at the edge of what there
/// is, a member is doubled or goes. Random bytes alone would spend their time on broken braces.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ most: Int, _ seed: CUnsignedInt) -> Int {
    var generator = SplitMix64(seed: UInt64(seed))
    let choice = Int.random(in: 0..<10, using: &generator)
    guard choice < 6, size > 0 else { return mutateBytes(data, size, most) }
    var bytes = Array(UnsafeBufferPointer(start: data, count: size))
    for _ in 0...(choice % 3) { JSONMutator.change(&bytes, &generator) }
    guard bytes.count <= most, !bytes.isEmpty else { return mutateBytes(data, size, most) }
    for (index, byte) in bytes.enumerated() { data[index] = byte }
    return bytes.count
}

@_silgen_name("LLVMFuzzerMutate")
private func mutateBytes(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ most: Int) -> Int

enum JSONMutator {
    static let numbers = [
        "0", "-0", "-1", "1", "2", "0.5", "12.5", "-1.5", "100", "2147483647", "2147483648", "4294967296",
        "-2147483648",
        "9007199254740991", "9007199254740993", "31536000", "31536001", "9223372036854775807", "9223372036854775808",
        "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "123456789012345678901234567890",
        "1e18", "1e19", "1e308", "-1.7976931348623157e308", "1e309", "1e400", "5e-324", "1E2", "9300000000000000",
        "-9300000000000000", "4611686018427387904", "9223372036854775", "1700000000000", "253402300800000",
    ]
    static let texts = [
        #""""#, #""x""#, #""\u0000""#, #""\ud83d""#, #""\udc00\ud800""#, #""\u0001\u0002\u001f""#,
        #""\"\\\/\b\f\n\r\t""#,
        #""$x3000(\u0001$)""#, #""$x2000(é$)""#, #""$x70(a$)""#, "\"e\u{301}\"", "\"é\"", "\"\u{202e}\u{2066}\"",
        "\"\u{1b}[2J\"", #""0000-01-01T00:00:00Z""#, #""0001-01-01T00:00:00Z""#, #""9999-12-31T23:59:59.999Z""#,
        #""1970-01-01T00:00:00Z""#, #""2199-01-01T00:00:00.000Z""#, #""2026-01-01T00:00:00+23:59""#,
        #""2026-06-30T23:59:60Z""#,
        #""$now""#, #""$job""#, #""running""#, #""succeeded""#, #""failed""#, #""stopped""#, #""queued""#,
        #""unknown""#,
        #""men""#, #""women""#, #""alpha""#, #""harvest""#, #""urn:oms:problem:stale-epoch""#, "true", "false", "null",
        "[]",
        "{}", "[[]]", #"{"value":1e308}"#, #"{"value":9223372036854775807}"#, "$x31([$)$x31(]$)", "[$x400({},$)0]",
        #"{"$x30000(\u0001$)":1}"#,
    ]

    static func change(_ bytes: inout [UInt8], _ generator: inout SplitMix64) {
        // The change before may have taken all there was.
        guard !bytes.isEmpty else { return }
        let spans = values(in: bytes, from: Int.random(in: 0..<bytes.count, using: &generator))
        guard let span = spans.randomElement(using: &generator) else { return }
        switch Int.random(in: 0..<12, using: &generator) {
        case 0:  // doubled, with what stands before it up to the comma
            let start = back(bytes, span.lowerBound)
            bytes.insert(contentsOf: Array(",".utf8) + bytes[start..<span.upperBound], at: span.upperBound)
        case 1:  // gone
            let start = back(bytes, span.lowerBound)
            let end = span.upperBound < bytes.count && bytes[span.upperBound] == UInt8(ascii: ",") ? 1 : 0
            bytes.removeSubrange(start..<span.upperBound + end)
        case 2:  // nested
            bytes.insert(UInt8(ascii: "]"), at: span.upperBound)
            bytes.insert(UInt8(ascii: "["), at: span.lowerBound)
        case 3:  // another value of the same input
            guard let other = spans.randomElement(using: &generator) else { return }
            bytes.replaceSubrange(span, with: Array(bytes[other]))
        case 4, 5:
            if let text = texts.randomElement(using: &generator) { bytes.replaceSubrange(span, with: Array(text.utf8)) }
        default:
            let isText = bytes[span.lowerBound] == UInt8(ascii: "\"")
            let isNumber = bytes[span.lowerBound] == UInt8(ascii: "-") || digits.contains(bytes[span.lowerBound])
            let table = isText ? texts : isNumber ? numbers : numbers + texts
            if let text = table.randomElement(using: &generator) { bytes.replaceSubrange(span, with: Array(text.utf8)) }
        }
    }

    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")

    /// Where the member or element begins: after the comma or the opening brace before it.
    private static func back(_ bytes: [UInt8], _ from: Int) -> Int {
        var index = from
        while index > 0, !",{[\n".utf8.contains(bytes[index - 1]) { index -= 1 }
        return index
    }

    /// Some values (numbers, texts, words) from a place on, by a look at the bytes alone.
    private static func values(in bytes: [UInt8], from start: Int) -> [Range<Int>] {
        var spans: [Range<Int>] = []
        var index = start
        while index < bytes.count, spans.count < 12 {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                var end = index + 1
                while end < bytes.count, bytes[end] != byte { end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1 }
                guard end < bytes.count else { break }
                let isKey = end + 1 < bytes.count && bytes[end + 1] == UInt8(ascii: ":")
                if !isKey { spans.append(index..<end + 1) }
                index = end + 1
            } else if digits.contains(byte) || byte == UInt8(ascii: "-") {
                var end = index + 1
                while end < bytes.count, digits.contains(bytes[end]) || ".eE+-".utf8.contains(bytes[end]) { end += 1 }
                spans.append(index..<end)
                index = end
            } else {
                index += 1
            }
        }
        return spans
    }
}
