/// The one configuration of the broker; the private broker and the container differ in the values below only.
package struct BrokerProfile: Sendable {
    package var address: String
    package var port: Int
    package var passwordFile: String
    package var accessFile: String
    package var logDestination: String
    /// Set when the broker is started as root and shall stay it; else nil.
    package var user: String?

    package init(
        address: String, port: Int, passwordFile: String, accessFile: String, logDestination: String,
        user: String? = nil
    ) {
        self.address = address
        self.port = port
        self.passwordFile = passwordFile
        self.accessFile = accessFile
        self.logDestination = logDestination
        self.user = user
    }

    /// What docker/mosquitto/mosquitto.conf holds.
    package static let container = BrokerProfile(
        address: "0.0.0.0", port: 1883, passwordFile: "/mosquitto/secrets/passwd",
        accessFile: "/mosquitto/config/acl",
        logDestination: "stderr")  // written at once; standard output is buffered when it is no terminal

    /// The largest message of OMS with its topic and properties: what nobody can read, nobody needs to be sent.
    static let maxPacketBytes = EnvelopeCodec.maxBytes + 1_024
    /// Of the broker's heap. Below the container's 512 MiB: it then refuses messages and connections, and is not killed.
    static let memoryBytes = 384 << 20
    /// Processes, operators, dashboards: some hundreds are many.
    static let maxConnections = 1_000

    package func render() -> String {
        """
        # Made by 'oms contract mosquitto-conf'. Do not edit: a test compares it.

        # Explicit: without a listener line some versions open one to the network, with anonymous access.
        listener \(port) \(address)
        allow_anonymous false
        password_file \(passwordFile)
        acl_file \(accessFile)

        # The wire is volatile: durability is end to end (journal and PostgreSQL), so a restarted broker must not bring
        # back old state, and a full disk must not stop it.
        persistence false

        # Without it a command and its answer take 88 ms instead of 0.3 ms.
        set_tcp_nodelay true

        # Above these limits the broker drops silently while it tells the sender that all is well.
        max_inflight_messages 1000
        max_queued_messages 100000
        max_queued_bytes 33554432
        queue_qos0_messages false
        max_packet_size \(Self.maxPacketBytes)
        max_keepalive 60

        # What one client can cost the others. OMS keeps no session beyond its connection; whoever asks for one, as a
        # reader may, loses it after an hour's absence with all that waited in it.
        max_connections \(Self.maxConnections)
        persistent_client_expiration 1h
        memory_limit \(Self.memoryBytes)

        log_dest \(logDestination)
        log_type error
        log_type warning
        log_type notice
        log_timestamp_format %Y-%m-%dT%H:%M:%S

        """ + (user.map { "user \($0)\n" } ?? "")
    }
}
