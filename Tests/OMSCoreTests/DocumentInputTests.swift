import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What stands in documents though it should not.
@Suite("Odd documents")
struct DocumentInputTests {
    private func faults(_ kind: JSONValue, _ spec: JSONValue) -> [String] {
        DocumentReader.read(["kind": kind, "name": "x", "spec": spec]).errors.map { "\($0.pointer): \($0.detail)" }
    }

    private func service(_ fields: JSONValue) -> [String] { faults("Scenario", ["services": ["s": fields]]) }

    // MARK: Time zones

    @Test(
        "abbreviations of time zones are refused with the name that is meant",
        arguments: [
            ("BST", "Europe/London"), ("AST", "America/Halifax"), ("CST", "America/Chicago"),
            ("EST", "America/New_York"),
            ("ist", "Asia/Kolkata"), ("JST", "Asia/Tokyo"), ("GMT", "Europe/London"), ("EST5EDT", "America/New_York"),
            ("PST", "America/Los_Angeles"), ("Z", "UTC"),
        ])
    func abbreviations(name: String, meant: String) {
        let found = service(["type": "t", "frequency": ["cron": "30 6 * * *", "time_zone": .string(name)]])
        #expect(found.count == 1 && found[0].contains("/frequency/time_zone: '\(name)' is an abbreviation"))
        #expect(found.first?.contains("'\(meant)'") == true)
    }

    @Test(
        "what is no zone of the IANA database is refused",
        arguments: [
            "Factory", "SystemV/PST8", "posix/Europe/Berlin", "GMT+3", "UTC+3", "Europe", "Berlin", "", "Europe/Berln",
            "Japan", "../etc/passwd", "Europe/Berlin\u{0}",
        ])
    func noZones(name: String) {
        #expect(
            service(["type": "t", "frequency": ["cron": "0 6 * * *", "time_zone": .string(name)]]).count == 1, "\(name)"
        )
    }

    @Test(
        "these are taken",
        arguments: ["UTC", "CET", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+3", "US/Eastern"])
    func zones(name: String) {
        #expect(
            service(["type": "t", "frequency": ["cron": "0 6 * * *", "time_zone": .string(name)]]).isEmpty, "\(name)")
    }

    // MARK: Addresses

    @Test(
        "a base_url that would be read in two ways is refused with the reason",
        arguments: [
            ("http://host//", "empty part"), ("http://host//x", "empty part"), ("http://host:99999", "1 to 65535"),
            ("http://host:0", "1 to 65535"), ("http://host:", "1 to 65535"), ("http://host:+80", "1 to 65535"),
            ("http://host:99999999999999999999", "1 to 65535"), ("http://:80", "host is missing"),
            ("http://", "host is missing"), ("http:///x", "host is missing"), ("http://a/../b/", "'..'"),
            ("http://a/./b", "'..'"), ("http://a/%2E%2e/b", "'..'"), ("http://a/%zz", "hexadecimal"),
            ("http://a..b", "empty part"), ("http://.a", "empty part"), ("http://a.", "empty part"),
            ("http://Example.org", "small letters: example.org"), ("HTTP://a", "scheme in small letters"),
            ("http://münchen.de", "xn--"), ("http://a b", "space"), ("http://a\nb", "control"),
            ("http://a\u{A0}b", "space"),
            ("http://user@a", "credential"), ("http://a?x=1", "query"), ("http://a/#x", "fragment"),
            ("http://a\\b", "'/'"),
            ("ftp://a", "form"), ("//a", "form"), ("a", "form"), ("", "form"), ("http://-a", "may hold"),
            ("http://127.1", "four numbers"), ("http://0x7f000001", "four numbers"),
            ("http://2130706433", "four numbers"),
            ("http://256.1.1.1", "four numbers"), ("http://01.2.3.4", "four numbers"), ("http://[::1", "not closed"),
            ("http://[x]", "no IPv6"), ("http://[]", "no IPv6"), ("http://[::1]x", "only a port"),
            ("http://[::1]:0", "1 to 65535"),
        ])
    func badAddresses(text: String, why: String) {
        let found = faults("Provider", ["base_url": .string(text)])
        #expect(found.count == 1 && found[0].hasPrefix("/spec/base_url: "))
        #expect(found.first?.contains(why) == true, "\(found)")
    }

    @Test(
        "these are taken",
        arguments: [
            "https://sp.example.org", "https://sp.example.org/", "http://127.0.0.1:18700", "http://[::1]:80/oms",
            "http://a_b:1/x/y",
            "https://xn--mnchen-3ya.de:65535/%20/x", "http://localhost/a.b/..c",
        ])
    func addresses(text: String) { #expect(faults("Provider", ["base_url": .string(text)]) == []) }

    @Test(
        "a credential is named and no path; the secret stands elsewhere",
        arguments: ["../../etc/passwd", "A", "", "a b"])
    func credentials(text: String) {
        let found = faults("Provider", ["base_url": "http://a", "credential": .string(text)])
        #expect(found.count == 1 && found[0].hasPrefix("/spec/credential: "), "\(found)")
        #expect(faults("Provider", ["base_url": "http://a", "credential": "alpha-token_2"]) == [])
    }

    // MARK: Numbers

    @Test("every whole number of every document has bounds, which the error names and the schema shows")
    func bounds() {
        var seen = 0
        func check(_ schema: JSONValue, _ path: [String], _ faults: (JSONValue) -> [String]) {
            for (name, rule) in schema["properties"]?.objectValue ?? [:] {
                if rule["properties"] != nil {
                    check(rule, path + [name]) { faults([name: $0]) }
                    continue
                }
                guard rule["type"] == "integer" else { continue }
                guard let low = rule["minimum"]?.intValue, let high = rule["maximum"]?.intValue else {
                    Issue.record("\(path + [name]) has no bounds in the schema")
                    continue
                }
                seen += 1
                let place = "/" + (path + [name]).joined(separator: "/") + ": "
                func complains(_ value: JSONValue) -> String? {
                    faults(.object([name: value])).first { $0.contains(place) && $0.contains("must be ") }
                }
                for wrong in [low - 1, high + 1, .max, .min] {
                    #expect(
                        complains(.int(wrong))?.contains("must be from \(low) to \(high), not \(wrong)") == true,
                        "\(place)")
                }
                for wrong in [1.5, 1e300, -1e300] as [JSONValue] { #expect(complains(wrong) != nil, "\(place)") }
                for right in [low, high] {
                    #expect(complains(.int(right))?.contains("must be from") != true, "\(place)")
                }
            }
        }
        check(DocumentSchema.provider, ["spec"]) { self.faults("Provider", $0) }
        check(DocumentSchema.tenant, ["spec"]) { self.faults("Tenant", $0) }
        check(DocumentSchema.service, ["spec", "services", "s"]) { self.service($0) }
        #expect(seen == 20, "a new field is bounded too, or this number is old")
    }

    @Test("weights, alpha and bounds of constraints are finite and within their limits")
    func fractions() {
        func merge(_ fields: JSONValue) -> [String] {
            service(["type": "t", "frequency": ["once": true], "providers": ["use": "all"], "merge": fields])
        }
        for weight in [0, -1, 1_000_001, 1e300, "x", .double(.infinity), .double(.nan)] as [JSONValue] {
            #expect(
                merge(["strategy": "mean", "weights": ["a": weight]]).first?.contains("above 0, at most 1000000")
                    == true)
        }
        for alpha in [0, 0.5, -1, 1e300, .double(.nan)] as [JSONValue] {
            #expect(merge(["strategy": "pooled-proportions", "alpha": alpha]).count == 1)
        }
        for bound in ["x", .double(.infinity), .double(.nan)] as [JSONValue] {
            let rule: JSONValue = [
                "strategy": "best", "objective": "o", "require": [["output": "x", "at_least": bound]],
            ]
            #expect(merge(rule).contains { $0.contains("/at_least: must be a number") })
        }
    }

    // MARK: Cost

    @Test("a flood of mistakes, and mistakes of a megabyte, become an answer that can be sent")
    func flood() {
        var members = JSONObject(uniqueKeysWithValues: (0..<20_000).map { ("k\($0)", JSONValue.int(1)) })
        members["base_url"] = "http://a"
        let spec = JSONValue.object(members)
        let found = DocumentReader.read(["kind": "Provider", "name": "x", "spec": spec]).errors
        #expect(found.count == 101 && found.last?.detail == "there are more mistakes; mend these first")
        let long = DocumentReader.read([
            "kind": .string(String(repeating: "é", count: 1 << 20)), "name": "x", "spec": [:],
        ])
        #expect(
            long.errors.allSatisfy { $0.detail.utf8.count <= 600 && $0.pointer.utf8.count <= 600 }
                && long.errors.count == 1)
    }
}

@Suite("Documents of one change, together")
struct DocumentSetTests {
    private func document(_ kind: JSONValue, _ name: JSONValue, _ spec: JSONValue) throws -> Document {
        let (document, errors) = DocumentReader.read(["kind": kind, "name": name, "spec": spec])
        return try #require(document, "\(errors)")
    }

    private func scenario(_ fields: JSONValue) throws -> Document {
        try document(
            "Scenario", "s",
            [
                "services": [
                    "w": .object(
                        (fields.objectValue ?? [:]).merging(["type": "t", "frequency": ["once": true]]) { $1 })
                ]
            ])
    }

    private func tenant(_ variables: JSONValue = [:], _ more: JSONValue = [:]) throws -> Document {
        try document(
            "Tenant", "men",
            .object((more.objectValue ?? [:]).merging(["scenarios": ["s"], "variables": variables]) { $1 }))
    }

    @Test("one name twice is refused, and both places are named; the same name of two kinds is fine")
    func doubled() throws {
        let provider = try document("Provider", "x", ["base_url": "http://a"])
        let other = try document("Provider", "x", ["base_url": "http://b"])
        let errors = DocumentSet.errors([provider, try tenant(), other]) { "file:\($0)" }
        #expect(
            errors == [
                FieldError(
                    pointer: "/documents/2/name", detail: "Provider/x is declared in file:0 already; keep one of them")
            ])
        #expect(DocumentSet.errors([provider, try document("Tenant", "x", ["scenarios": ["s"]])]).isEmpty)
    }

    @Test("the registry refuses it too, for apply and for plan")
    func registry() {
        for method in ["apply", "plan"] {
            var bench = RegistryBench.active()
            let twice: JSONValue = ["kind": "Provider", "name": "twice", "spec": ["base_url": "http://a"]]
            let request = ClientRequest(id: "p", client: "c", method: method, params: ["documents": [twice, twice]])
            bench.feed(.received(Message(method == "plan" ? .query : .command, .request(request))))
            let errors = bench.responses().last?.error?.errors
            #expect(errors?.first?.pointer == "/documents/1/name" && errors?.count == 1, "\(method)")
        }
    }

    @Test(
        "a misspelt variable is refused where it stands",
        arguments: [
            (["data_source": ["uri": "file:///{tennant}.csv"]], "/data_source/uri", "did you mean {tenant}?"),
            (["output_source": ["uri": "s3://{bucket}/x"]], "/output_source/uri", "it has {region}, {tenant}"),
            (
                ["data_source": ["uri": "x", "credential": "{regoin}"]], "/data_source/credential",
                "did you mean {region}?"
            ),
            (["parameters": ["a": ["b": ["x", "{regoin}"]]]], "/parameters/a/b/1", "did you mean {region}?"),
            (["parameters": ["json": #"{"customer": "{tennant}"}"#]], "/parameters/json", "did you mean {tenant}?"),
        ] as [(JSONValue, String, String)])
    func misspelt(fields: JSONValue, place: String, hint: String) throws {
        let errors = DocumentSet.errors([try scenario(fields), try tenant(["region": "eu"])])
        #expect(errors.map(\.pointer) == ["/documents/0/spec/services/w" + place])
        #expect(errors.first?.detail.contains(hint) == true, "\(errors)")
    }

    @Test("braces of others are left alone in parameters; in an address a variable of that name lets them through")
    func foreign() throws {
        let parameters: JSONValue = [
            "graphql": "query{shop(id:\"{tenant}\"){name}}", "regex": "^[a-z]{2,5}-\\p{Lu}$",
            "jinja": "{{ ds }}/{{date}}",
            "id": "{id}", "open": "{{{", "close": "}}", "empty": "{}",
        ]
        #expect(DocumentSet.errors([try scenario(["parameters": parameters]), try tenant(["eu": "1"])]).isEmpty)
        let address: JSONValue = ["data_source": ["uri": "file:///{date}.csv"]]
        #expect(DocumentSet.errors([try scenario(address), try tenant()]).count == 1)
        #expect(DocumentSet.errors([try scenario(address), try tenant(["date": "{date}"])]).isEmpty)
    }

    @Test(
        "a scenario is judged by the registered tenants that have it, a tenant by its registered scenario and its own fields"
    )
    func registered() throws {
        guard case .scenario(_, let spec) = try scenario(["data_source": ["uri": "file:///{region}.csv"]]),
            case .tenant(let id, let plain) = try tenant()
        else { return }
        #expect(
            DocumentSet.errors([.scenario("s", spec)], tenants: [id: plain]).map(\.pointer) == [
                "/documents/0/spec/services/w/data_source/uri"
            ])
        let errors = DocumentSet.errors([.tenant(id, plain)], scenarios: ["s": spec])
        #expect(errors.map(\.pointer) == ["/documents/0/spec/variables"])
        #expect(
            errors.first?.detail.hasPrefix(
                "scenario s, services/w/data_source/uri: tenant men has no variable {region}") == true)
        #expect(DocumentSet.errors([.scenario("s", spec)]).isEmpty, "nobody has it")
        let own = try tenant([:], ["services": ["w": ["data_source": ["uri": "file:///x.csv"]]]])
        #expect(DocumentSet.errors([own], scenarios: ["s": spec]).isEmpty, "its own field has no variable")
    }

    @Test(
        "every {name} is filled wherever it stands",
        arguments: [
            ("select '{tenant}' and '{region}'", "select 'men' and 'eu'"),
            (#"{"customer": "{tenant}"}"#, #"{"customer": "men"}"#),
            (#"query { shop(id: "{tenant}") { name } }"#, #"query { shop(id: "men") { name } }"#),
            ("{{ ds }}/{tenant} and {{tenant}}", "{{ ds }}/men and {men}"),
            ("^[a-z]{2,5}-{tenant}$", "^[a-z]{2,5}-men$"),
            ("{unknown}{tenant", "{unknown}{tenant"), ("}{tenant}{", "}men{"), ("{{{tenant}}}", "{{men}}"), ("", ""),
            ("{}", "{}"),
            ("{once}", "{tenant}"), ("{tenant}\u{301}", "men\u{301}"), ("é{tenant}é", "émené"),
        ])
    func filling(text: String, filled: String) {
        let variables = ["tenant": "men", "region": "eu", "once": "{tenant}"]
        #expect(Braces.fill(text) { variables[$0] } == filled)
    }

    @Test("a text of braces takes time in step with its length", .timeLimit(.minutes(1)))
    func cost() {
        for piece in ["{", "}", "{a", "{tenant}", "{}"] {
            let text = String(repeating: piece, count: 200_000)
            _ = Braces.fill(text) { $0 == "tenant" ? "men" : nil }
            _ = Braces.names(in: text)
        }
    }
}
