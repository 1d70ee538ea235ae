/// Matching of topics against filters with `+` and `#` (MQTT 5, section 4.7).
package enum MQTTTopicFilter {
    package static func matches(_ filter: String, _ topic: String) -> Bool {
        let topicBytes = topic.utf8
        // A wildcard in the first place never matches topics of the broker's own, such as $SYS.
        if topicBytes.first == UInt8(ascii: "$"), let first = filter.utf8.first,
            first == UInt8(ascii: "#") || first == UInt8(ascii: "+")
        {
            return false
        }
        var levels = topicBytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)[...]
        for part in filter.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            if part.elementsEqual("#".utf8) { return true }  // also the parent level: "a/#" matches "a"
            guard let level = levels.popFirst() else { return false }
            if !part.elementsEqual("+".utf8) && !part.elementsEqual(level) { return false }
        }
        return levels.isEmpty
    }
}
