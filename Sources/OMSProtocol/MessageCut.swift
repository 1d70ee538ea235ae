import OMSModel

/// Makes a message small enough where it is made: what is cut is named in its `omitted`, what is kept is right. The least
/// loss comes first: the long lists of field errors, then texts beyond a screen, then the outputs, of which the provider
/// and the job's own record know more.
package enum MessageCut: CaseIterable, Sendable {
    /// Of field errors the first five.
    case fewErrors
    /// Texts of at most a kilobyte.
    case shortTexts
    case noErrors
    case noOutputs
    /// Texts of at most 200 bytes.
    case tinyTexts
    /// The plan of a run; the configuration has it, as long as it does not change.
    case noPlan

    package static let errorsKept = 5

    /// - Returns: the bytes that it takes now; more than `limit` only if nothing more can be cut.
    @discardableResult
    package static func fit(_ value: inout some Reducible, into limit: Int) -> Int {
        var bytes = MessageSize.bytes(value)
        for step in allCases where bytes > limit {
            value.reduce(step)
            bytes = MessageSize.bytes(value)
        }
        return bytes
    }

    var textBytes: Int? {
        switch self {
        case .shortTexts: 1_024
        case .tinyTexts: 200
        case .fewErrors, .noErrors, .noOutputs, .noPlan: nil
        }
    }
}

package protocol Reducible: Encodable {
    mutating func reduce(_ step: MessageCut)
}

/// Notes what was cut, each thing once.
private func note(_ what: String, in omitted: inout [String]?) {
    if omitted?.contains(what) != true { omitted = (omitted ?? []) + [what] }
}

extension MessageCut {
    /// - Returns: whether something was cut.
    func cut(_ text: inout String?) -> Bool {
        guard let limit = textBytes, let given = text, MessageSize.bytes(given) > limit else { return false }
        text = MessageSize.cut(given, to: limit)
        return true
    }

    fileprivate func cut(_ problem: inout Problem?, _ omitted: inout [String]?) {
        guard var changed = problem else { return }
        switch self {
        case .fewErrors:
            if let errors = changed.errors, errors.count > Self.errorsKept {
                changed.errors = Array(errors.prefix(Self.errorsKept))
                note("errors", in: &omitted)
            }
        case .noErrors:
            if changed.errors != nil { note("errors", in: &omitted) }
            changed.errors = nil
        case .shortTexts, .tinyTexts:
            var type: String? = changed.type
            var isCut = cut(&type)
            changed.type = type ?? changed.type
            isCut = cut(&changed.title) || isCut
            isCut = cut(&changed.detail) || isCut
            isCut = cut(&changed.instance) || isCut
            for index in changed.errors?.indices ?? 0..<0 {
                var (pointer, detail) = (changed.errors?[index].pointer, changed.errors?[index].detail)
                isCut = cut(&pointer) || isCut
                isCut = cut(&detail) || isCut
                if let pointer { changed.errors?[index].pointer = pointer }
                if let detail { changed.errors?[index].detail = detail }
            }
            if isCut { note("texts", in: &omitted) }
        case .noOutputs, .noPlan: break
        }
        problem = changed
    }
}

extension JobRecord: Reducible {
    package mutating func reduce(_ step: MessageCut) {
        step.cut(&error, &omitted)
        if step.cut(&message) { note("texts", in: &omitted) }
        if step == .noOutputs, outputs != nil {
            outputs = nil
            note("outputs", in: &omitted)
            message = "its outputs are too large for the record; the provider has them"
        }
    }
}

extension JobEvent: Reducible {
    /// Not the outputs: whoever merges them must not take none for some. Who makes the event ends the job otherwise.
    package mutating func reduce(_ step: MessageCut) {
        step.cut(&error, &omitted)
        if step.cut(&message) { note("texts", in: &omitted) }
    }
}

extension SweptJob: Reducible {
    package mutating func reduce(_ step: MessageCut) {
        var omitted: [String]?
        step.cut(&error, &omitted)
    }
}

extension ServiceResult: Reducible {
    package mutating func reduce(_ step: MessageCut) {
        for index in providers.indices { step.cut(&providers[index].error, &omitted) }
        if step == .noOutputs, !outputs.isEmpty {
            outputs = [:]
            note("outputs", in: &omitted)
        }
    }
}

extension RunRecord: Reducible {
    package mutating func reduce(_ step: MessageCut) {
        step.cut(&error, &omitted)
        result?.reduce(step)
        for what in result?.omitted ?? [] { note(what, in: &omitted) }
        if step == .noPlan, plan != nil {
            plan = nil
            note("plan", in: &omitted)
        }
    }
}

extension JournalEntry: Reducible {
    package mutating func reduce(_ step: MessageCut) {
        job?.reduce(step)
        run?.reduce(step)
        var why = tick?.reason
        if step.cut(&why) { tick?.reason = why }
        var text = reason?.text
        if step.cut(&text) { reason?.text = text }
    }
}

extension WMStatus {
    /// The same with as much of its lists as fits; what was left out is counted.
    package func fitting(_ limit: Int) -> WMStatus {
        guard MessageSize.bytes(self) > limit else { return self }
        var cut = self
        for index in cut.active.indices { _ = MessageCut.tinyTexts.cut(&cut.active[index].message) }
        for index in cut.waiting.indices {
            var text: String? = cut.waiting[index].text
            if MessageCut.shortTexts.cut(&text) { cut.waiting[index].text = text ?? "" }
        }
        guard MessageSize.bytes(cut) > limit else { return cut }
        let (active, waiting) = (cut.active, cut.waiting)
        (cut.active, cut.waiting) = ([], [])
        // Room for the two counts.
        let room = max(0, limit - MessageSize.bytes(cut) - 60)
        let fits = MessageParts.prefix(of: waiting, bytes: room / 2, least: 0) { MessageSize.bytes($0) + 1 }
        cut.waiting = Array(waiting.prefix(fits))
        let rest = room - cut.waiting.reduce(0) { $0 + MessageSize.bytes($1) + 1 }
        let shown = MessageParts.prefix(of: active, bytes: rest, least: 0) { MessageSize.bytes($0) + 1 }
        cut.active = Array(active.prefix(shown))
        if shown < active.count { cut.moreActive = (moreActive ?? 0) + active.count - shown }
        if fits < waiting.count { cut.moreWaiting = waiting.count - fits }
        return cut
    }
}
