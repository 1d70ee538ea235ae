#!/bin/sh
# Makes the passwords of the compose stack in docker/secrets/, once: files that exist stay as they are.
# Run it again after you removed a password file to get a new password in its place (docs/operate/compose.md tells the rest).
set -eu
umask 077
cd "$(dirname "$0")"

# Containers read these as other users. A clone made under a strict umask has them closed; they hold no secret.
chmod -R go+rX mosquitto postgres ../examples

# compose mounts these files as they are, so services with other user ids must be able to read them inside their
# containers; on this machine the folder keeps everybody else out.
mkdir -p secrets/monitor secrets/credentials
chmod 700 secrets
chmod 755 secrets/monitor secrets/credentials

# put NAME: keeps standard input, whole or not at all.
put() {
    cat > "secrets/$1.new"
    chmod 444 "secrets/$1.new"
    mv -f "secrets/$1.new" "secrets/$1"
    echo "made docker/secrets/$1"
}

for name in mqtt-registry mqtt-fleet mqtt-gateway mqtt-admin mqtt-monitor pg-superuser pg-oms pg-reporter; do
    [ -s "secrets/$name" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' | put "$name"
done

# Options that mosquitto_sub reads from $XDG_CONFIG_HOME, so that the password stands in no command line.
if [ ! -s secrets/monitor/mosquitto_sub ] || [ secrets/mqtt-monitor -nt secrets/monitor/mosquitto_sub ]; then
    printf -- '-h 127.0.0.1\n-V 5\n-u monitor\n-P %s\n' "$(cat secrets/mqtt-monitor)" | put monitor/mosquitto_sub
fi

# The broker's own file, with hashed passwords. Its image hashes them and gives it to the broker's user, 1883.
stale=
for name in registry fleet gateway admin monitor; do
    if [ ! -e secrets/mosquitto-passwd ] || [ "secrets/mqtt-$name" -nt secrets/mosquitto-passwd ]; then stale=yes; fi
done
if [ -n "$stale" ]; then
    for name in registry fleet gateway admin monitor; do
        printf '%s:%s\n' "$name" "$(cat "secrets/mqtt-$name")"
    done | docker run -i --rm --user 0:0 --network none -v "$PWD/secrets:/secrets" --entrypoint /bin/sh \
        "${OMS_MOSQUITTO_IMAGE:-eclipse-mosquitto:2.0}" -euc '
            umask 077
            cat > /tmp/passwd
            mosquitto_passwd -U /tmp/passwd
            cp /tmp/passwd /secrets/mosquitto-passwd.new
            chown 1883:1883 /secrets/mosquitto-passwd.new
            chmod 400 /secrets/mosquitto-passwd.new
            mv -f /secrets/mosquitto-passwd.new /secrets/mosquitto-passwd'
    echo "made docker/secrets/mosquitto-passwd"
fi
