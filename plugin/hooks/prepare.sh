#!/bin/sh
# Makes the script in the mesh home that the hooks call, when this plugin was installed without "mesh install".
# Nothing happens where there is no mesh. What it prints is thrown away by the hook.
package=${0%/*}/../..
if [ -r "$package/dist/cli.cjs" ]; then
  exec node "$package/bin/mesh.js" install --script
fi
exec mesh install --script
