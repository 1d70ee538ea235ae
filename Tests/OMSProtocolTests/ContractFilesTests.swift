import Foundation
import OMSProtocol
import Testing

/// Files made from the code are committed, so that a broker or a reader needs no build. They must not lag behind.
@Suite struct ContractFilesTests {
    enum Part: String, CaseIterable {
        case acl, asyncapi, topics
        case mosquittoConf = "mosquitto-conf"
    }

    @Test(arguments: Part.allCases) func theCommittedFileIsWhatTheCodeMakes(part: Part) throws {
        let (path, expected) =
            switch part {
            case .acl: ("docker/mosquitto/acl", AccessControlList.render())
            case .asyncapi: ("docs/reference/asyncapi.yaml", try AsyncAPIDocument.render())
            case .mosquittoConf: ("docker/mosquitto/mosquitto.conf", BrokerProfile.container.render())
            case .topics: ("docs/reference/topics.md", TopicDocument.render())
            }
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let committed = try String(contentsOf: root.appending(path: path), encoding: .utf8)
        #expect(committed == expected, "\(path) is out of date: run 'oms contract \(part.rawValue) > \(path)'")
    }
}

@Suite struct AccessControlTests {
    private func may(_ role: Role, _ access: AccessControlList.Access, _ topic: String) -> Bool {
        AccessControlList.rules(of: role).contains { rule in
            (rule.access == access || rule.access == .readwrite) && Self.matches(rule.filter, topic)
        }
    }

    private static func matches(_ filter: String, _ topic: String) -> Bool {
        let levels = topic.split(separator: "/")
        let parts = filter.split(separator: "/")
        for (index, part) in parts.enumerated() {
            if part == "#" { return true }
            guard index < levels.count, part == "+" || part == levels[index] else { return false }
        }
        return parts.count == levels.count
    }

    @Test func everyRoleWritesExactlyWhereTheTableSaysSo() {
        for row in TopicTable.rows {
            let topic = row.filter.replacing("+", with: "x")
            for role in Role.allCases {
                #expect(may(role, .write, topic) == row.writers.contains(role), "\(role) writes \(topic)")
            }
        }
    }

    @Test func everyRoleReadsWhatTheTableSaysAndOperatorsReadAll() {
        for row in TopicTable.rows {
            let topic = row.filter.replacing("+", with: "x")
            for role in Role.allCases {
                let expected = row.readers.contains(role) || role == .admin || role == .monitor
                #expect(may(role, .read, topic) == expected, "\(role) reads \(topic)")
            }
        }
    }

    @Test func nobodyMayTouchTopicsOutsideTheTable() {
        for role in Role.allCases {
            for topic in ["$SYS/broker/version", "other/topic", "tenant/x/wm"] {
                #expect(!may(role, .write, topic), "\(role) writes \(topic)")
            }
        }
    }
}
