package db

import (
	"container/list"
	"sync"
)

// cacheBytes bounds the inflated blocks kept.
const cacheBytes = 8 << 20

// cache keeps the blocks used last, by their offset in the file.
type cache struct {
	mu     sync.Mutex
	blocks map[uint64]*list.Element
	order  list.List // of cached, last used first
	size   int
}

type cached struct {
	offset uint64
	block  string
}

func (c *cache) get(offset uint64) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.blocks[offset]
	if !ok {
		return "", false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).block, true
}

func (c *cache) put(offset uint64, block string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.blocks[offset]; ok {
		return
	}
	c.blocks[offset] = c.order.PushFront(cached{offset, block})
	c.size += len(block)
	for c.size > cacheBytes && c.order.Len() > 1 {
		old := c.order.Remove(c.order.Back()).(cached)
		delete(c.blocks, old.offset)
		c.size -= len(old.block)
	}
}
