import CZlib
import Foundation
import OMSModel

/// An input read in chunks, from a file or a download: unpacked when it is gzip (by its first bytes, not its name), and
/// hashed as it came.
final class ByteSource {
    static let chunkBytes = 64 << 10
    /// Of unpacked data: a few kilobytes of gzip can unpack to any size.
    static let maximumBytes: Int64 = 16 << 30

    /// Size of the file: what `bytesRead` runs to.
    let totalBytes: Int64
    private(set) var bytesRead: Int64 = 0
    private var unpackedBytes: Int64 = 0
    private let uri: String
    /// -1 for a download, which is in `downloaded`.
    private let descriptor: Int32
    private let downloaded: [UInt8]
    private var hash = SHA256()
    private var inflater: GzipInflater?

    /// - Throws: `Problem` `input-unavailable`.
    init(path: String, uri: String) throws {
        self.uri = uri
        downloaded = []
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Problem(
                .inputUnavailable, "\(uri) cannot be opened: \(String(cString: strerror(errno)))", retryable: true)
        }
        var info = stat()
        totalBytes = fstat(descriptor, &info) == 0 ? Int64(info.st_size) : 0
    }

    init(downloaded: [UInt8], uri: String) {
        self.uri = uri
        self.downloaded = downloaded
        descriptor = -1
        totalBytes = Int64(downloaded.count)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Fraction of the file that was read.
    var fraction: Double { totalBytes == 0 ? 1 : Double(bytesRead) / Double(totalBytes) }

    /// The next chunk of unpacked bytes; nil at the end.
    func next() throws -> [UInt8]? {
        while true {
            let packed = try readChunk()
            if packed.isEmpty {
                if let inflater, !inflater.isAtEnd {
                    throw Problem(.inputUnavailable, "\(uri) is cut off: the gzip data has no end")
                }
                return nil
            }
            if bytesRead == Int64(packed.count), packed.starts(with: [0x1f, 0x8b]) {
                inflater = try GzipInflater(uri: uri)
            }
            let plain = try inflater?.inflate(packed) ?? packed
            unpackedBytes += Int64(plain.count)
            if unpackedBytes > Self.maximumBytes {
                throw Problem(.inputUnavailable, "\(uri) has more than \(Self.maximumBytes) bytes; split it")
            }
            if !plain.isEmpty { return plain }
        }
    }

    /// SHA-256 of the file; call after the end.
    func sha256() -> String {
        var copy = hash
        return copy.finish()
    }

    private func readChunk() throws -> [UInt8] {
        if descriptor < 0 {
            let chunk = Array(downloaded.dropFirst(Int(bytesRead)).prefix(Self.chunkBytes))
            hash.update(chunk)
            bytesRead += Int64(chunk.count)
            return chunk
        }
        var chunk = [UInt8](repeating: 0, count: Self.chunkBytes)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count >= 0 {
                chunk.removeLast(chunk.count - count)
                hash.update(chunk)
                bytesRead += Int64(count)
                return chunk
            }
            if errno != EINTR {
                let reason = String(cString: strerror(errno))
                throw Problem(.inputUnavailable, "\(uri) cannot be read: \(reason)", retryable: true)
            }
        }
    }
}

/// zlib's inflate for gzip, also for files that are several gzip members in a row.
final class GzipInflater {
    /// On the heap: zlib keeps the address of this struct and refuses to work after it moved.
    private let stream: UnsafeMutablePointer<z_stream>
    private let uri: String
    private(set) var isAtEnd = false

    init(uri: String) throws {
        self.uri = uri
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 + 16: the largest window, gzip header. `inflateInit2` is a macro that Swift does not import.
        let code = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        if code != Z_OK {
            stream.deallocate()
            throw Problem(.internal, "zlib cannot start: error \(code)")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func inflate(_ packed: [UInt8]) throws -> [UInt8] {
        var plain: [UInt8] = []
        var input = packed
        var buffer = [UInt8](repeating: 0, count: ByteSource.chunkBytes)
        try input.withUnsafeMutableBufferPointer { input in
            stream.pointee.next_in = input.baseAddress
            stream.pointee.avail_in = UInt32(input.count)
            repeat {
                if isAtEnd {
                    // After a member: another one, or padding with zeros, which ends the data.
                    guard let next = stream.pointee.next_in, next.pointee == 0x1f else { return }
                    inflateReset(stream)
                    isAtEnd = false
                }
                let code = buffer.withUnsafeMutableBufferPointer { output in
                    stream.pointee.next_out = output.baseAddress
                    stream.pointee.avail_out = UInt32(output.count)
                    return CZlib.inflate(stream, Z_NO_FLUSH)
                }
                plain.append(contentsOf: buffer[..<(buffer.count - Int(stream.pointee.avail_out))])
                switch code {
                case Z_STREAM_END: isAtEnd = true
                case Z_OK: break
                case Z_BUF_ERROR: return  // all input used up
                default:
                    let reason = stream.pointee.msg.map { String(cString: $0) } ?? "error \(code)"
                    throw Problem(.inputUnavailable, "\(uri) is damaged: gzip: \(reason)")
                }
                // A chunk of 64 KiB unpacks to at most about 64 MiB (deflate's limit is 1032 to 1): bounded.
            } while stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0
        }
        return plain
    }
}
