#!/bin/sh
# Says the greeting that was made when the image was built.
exec cat /usr/share/hello/greeting
