/// Which registry was the active one last: one that loses its session and gets the lock again learns from it whether another
/// one was active in between.
let migration0020Terms = Migration(
    number: 20, name: "terms",
    sql: """
        CREATE TABLE oms.registry_term (
          one boolean PRIMARY KEY DEFAULT true CHECK (one),
          term bigint NOT NULL,
          holder text,
          since timestamptz NOT NULL DEFAULT now());
        INSERT INTO oms.registry_term (term) VALUES (0);
        """)
