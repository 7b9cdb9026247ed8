# Starts Node from the snapshot (snapshot.js) that was made under exactly these options, or without one: Node ends at once where V8's
# flags are others than those of its snapshot.
snapshot="/rouse/snapshots/${NODE_OPTIONS:-none}"
if [ -f "$snapshot" ]; then
  exec /usr/bin/node --experimental-vm-modules --snapshot-blob "$snapshot"
fi
exec /usr/bin/node --experimental-vm-modules /rouse/node/main.js
